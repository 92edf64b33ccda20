//! Values in PostgreSQL's binary form, and rows turned by ninety degrees: one array a column, as statements unnest them.

use std::error::Error;

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};
use uuid::Uuid;

use crate::store::row::{ColumnKind, Value};

type BoxedError = Box<dyn Error + Sync + Send>;

impl ToSql for Value<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxedError> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Bool(yes) => yes.to_sql(ty, out),
            Self::Number(number) if *ty == Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
            Self::Number(number) => number.to_sql(ty, out),
            Self::Text(text) => text.as_ref().to_sql(ty, out),
            Self::Bytes(bytes) => bytes.as_ref().to_sql(ty, out),
            Self::Id(id) => {
                out.extend_from_slice(id.as_bytes());
                Ok(IsNull::No)
            }
        }
    }

    accepts!(BOOL, BYTEA, INT4, INT8, TEXT, UUID);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, BoxedError> {
        Ok(match *ty {
            Type::BOOL => Self::Bool(bool::from_sql(ty, raw)?),
            Type::BYTEA => Self::Bytes(raw.into()),
            Type::INT4 => Self::Number(i32::from_sql(ty, raw)?.into()),
            Type::INT8 => Self::Number(i64::from_sql(ty, raw)?),
            Type::UUID => Self::Id(Uuid::from_slice(raw)?),
            _ => Self::Text(<&str>::from_sql(ty, raw)?.into()),
        })
    }

    accepts!(BOOL, BYTEA, INT4, INT8, TEXT, UUID);
}

/// Columns as the source of an `INSERT`: `SELECT … FROM unnest($1::text[], …)`.
pub(super) fn unnest(columns: impl Iterator<Item = (&'static str, ColumnKind)> + Clone) -> String {
    let list = |parts: Vec<String>| parts.join(", ");
    let values = columns.clone().map(|(name, kind)| match kind {
        ColumnKind::Json => format!("{name}::jsonb"),
        _ => name.to_owned(),
    });
    let arrays = columns.clone().enumerate().map(|(at, (_, kind))| format!("${}::{}[]", at + 1, array(kind)));
    let names = columns.map(|(name, _)| name.to_owned());
    format!(
        "SELECT {} FROM unnest({}) AS incoming ({})",
        list(values.collect()),
        list(arrays.collect()),
        list(names.collect())
    )
}

fn array(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Bool => "boolean",
        ColumnKind::Number => "bigint",
        ColumnKind::Text | ColumnKind::Json => "text",
        ColumnKind::Id => "uuid",
    }
}

/// Rows as columns. The values are borrowed, so a row may be in two parts.
pub(super) fn turned<'r, 'v, R>(rows: impl Iterator<Item = R>, width: usize) -> Vec<Vec<&'r Value<'v>>>
where
    R: Iterator<Item = &'r Value<'v>>,
{
    let mut columns = vec![Vec::with_capacity(rows.size_hint().0); width];
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    columns
}

/// The columns as parameters.
pub(super) fn parameters<T: ToSql + Sync>(columns: &[T]) -> Vec<&(dyn ToSql + Sync)> {
    columns.iter().map(|column| column as &(dyn ToSql + Sync)).collect()
}
