//! What URLs mean, and what they never show.

use super::*;

fn tls(url: &str) -> (SslMode, Trust) {
    let target = read(url).unwrap();
    (target.config.get_ssl_mode(), target.trust)
}

#[test]
fn sslmode_means_what_libpq_means() {
    let file = || Roots::File("/etc/my ca.pem".into());
    let cases = [
        ("", SslMode::Prefer, Trust::Anybody),
        ("?sslmode=disable", SslMode::Disable, Trust::Anybody),
        ("?sslmode=disable&sslrootcert=/etc/my%20ca.pem", SslMode::Disable, Trust::Anybody),
        ("?sslmode=prefer", SslMode::Prefer, Trust::Anybody),
        ("?sslmode=require", SslMode::Require, Trust::Anybody),
        ("?sslmode=require&sslrootcert=", SslMode::Require, Trust::Anybody),
        ("?sslmode=require&sslrootcert=/etc/my%20ca.pem", SslMode::Require, Trust::Name(file())),
        ("?sslrootcert=/etc/my%20ca.pem&connect_timeout=3", SslMode::Require, Trust::Name(file())),
        ("?sslmode=verify-ca&sslrootcert=/etc/my%20ca.pem", SslMode::Require, Trust::Chain(file())),
        ("?sslmode=verify-ca", SslMode::Require, Trust::Chain(Roots::System)),
        ("?sslmode=verify-full", SslMode::Require, Trust::Name(Roots::System)),
        ("?connect_timeout=3&sslrootcert=system", SslMode::Require, Trust::Name(Roots::System)),
    ];
    for (query, mode, trust) in cases {
        let url = format!("postgresql://u:p@host/db{query}");
        assert_eq!(tls(&url), (mode, trust), "{url}");
    }
    assert_eq!(
        tls("host=h user=u sslmode=verify-full sslrootcert='/ca.pem' dbname=d"),
        (SslMode::Require, Trust::Name(Roots::File("/ca.pem".into())))
    );
}

#[test]
fn the_rest_of_the_url_reaches_the_driver() {
    let url = "postgres://us%40er:p%3F%26w%40d?x@db.example:5433/na%20me?sslmode=require&application_name=x&target_session_attrs=read-write";
    let config = read(url).unwrap().config;
    assert_eq!(config.get_user(), Some("us@er"));
    assert_eq!(config.get_password(), Some(&b"p?&w@d?x"[..]));
    assert_eq!(config.get_dbname(), Some("na me"));
    assert_eq!(config.get_ports(), [5433]);
    assert_eq!(config.get_application_name(), Some("x"));
    let plain = read("host=/run/pg user=u password='two words' dbname=d").unwrap().config;
    assert_eq!(plain.get_password(), Some(&b"two words"[..]));
    assert_eq!(plain.get_application_name(), Some("tollgate"));
}

#[test]
fn refusals_repeat_no_part_of_the_url() {
    let cases = [
        ("postgresql://u:hunter2@host/db?sslmode=hunter2", "`sslmode` of the database URL is none of"),
        ("postgresql://u:hunter2@host/db?sslmode=allow", "`sslmode` of the database URL is none of"),
        (
            "postgresql://u:hunter2@host/db?sslcert=/hunter2.pem",
            "the parameter `sslcert` of the database URL is not",
        ),
        ("postgresql://u:hunter2@host/db?hunter2=1", "cannot be read: expected `postgresql://"),
        ("postgresql://u:pa#hunter2@host:hunter2/db", "cannot be read: expected `postgresql://"),
        ("mysql://u:hunter2@host/db", "cannot be read: expected `postgresql://"),
        ("hunter2", "cannot be read: expected `postgresql://"),
    ];
    for (url, expected) in cases {
        let error = read(url).err().unwrap().during("connect");
        assert!(error.message.contains(expected), "{url}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        assert!(!error.transient);
    }
    let settings = PostgresSettings::new("postgresql://u:hunter2@host/db");
    assert!(!format!("{settings:?}").contains("hunter2"));
}
