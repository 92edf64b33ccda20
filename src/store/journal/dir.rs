//! The journal's directory: names, permissions, the lock, quarantine. Every file is opened relative to the directory and
//! never through a symbolic link. It must not know what stands in the files, but for a segment's header.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags};

use super::JournalError;
use super::record;

const LOCK_NAME: &str = "lock";
const QUARANTINE_NAME: &str = "quarantine";
const SEGMENT_SUFFIX: &str = ".seg";
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// An open, locked journal directory.
pub(super) struct Dir {
    path: PathBuf,
    handle: File,
    /// Held as long as the journal lives; the kernel lets go of it when the process dies.
    lock: File,
}

impl Dir {
    /// Creates the directory if need be (mode 0700), and takes its lock.
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        let not_writable = |source| JournalError::NotWritable { path: path.to_owned(), source };
        let handle = open_dir(path).map_err(|error| match error.raw_os_error() {
            Some(code) if code == LOOP || code == NOT_A_DIRECTORY => {
                JournalError::NotADirectory(path.to_owned())
            }
            _ => not_writable(error),
        })?;
        let lock = open_in(&handle, LOCK_NAME, OFlags::RDWR | OFlags::CREATE).map_err(not_writable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), handle, lock }),
            Err(std::fs::TryLockError::WouldBlock) => Err(JournalError::InUse(path.to_owned())),
            Err(std::fs::TryLockError::Error(error)) => Err(not_writable(error)),
        }
    }

    /// Lets another journal have the directory.
    pub(super) fn unlock(&self) -> io::Result<()> {
        self.lock.unlock()
    }

    /// The sequence numbers of the segments that stand here, in order.
    pub(super) fn segments(&self) -> io::Result<Vec<u64>> {
        let mut sequences = Vec::new();
        for item in std::fs::read_dir(&self.path)? {
            let name = item?.file_name();
            let sequence =
                name.to_str().and_then(|name| name.strip_suffix(SEGMENT_SUFFIX)?.parse::<u64>().ok());
            sequences.extend(sequence);
        }
        sequences.sort_unstable();
        Ok(sequences)
    }

    /// Opens a segment for reading and writing; gives its size too.
    pub(super) fn open_segment(&self, sequence: u64) -> io::Result<(File, u64)> {
        let file = open_in(&self.handle, &segment_name(sequence), OFlags::RDWR)?;
        let bytes = file.metadata()?.size();
        Ok((file, bytes))
    }

    /// Creates a segment whose `bytes` are all allocated and zero but for the header; durable when this returns.
    /// On failure nothing is left behind.
    pub(super) fn create_segment(&self, sequence: u64, bytes: u64, created_ms: i64) -> io::Result<File> {
        let name = segment_name(sequence);
        let file = open_in(&self.handle, &name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?;
        let filled = allocate(&file, bytes)
            .and_then(|()| file.write_all_at(&record::segment_header(sequence, created_ms), 0))
            .and_then(|()| file.sync_all())
            .and_then(|()| self.handle.sync_all());
        if let Err(error) = filled {
            self.remove_segment(sequence)?;
            return Err(error);
        }
        Ok(file)
    }

    /// Deletes a segment; one that is not there is no error.
    pub(super) fn remove_segment(&self, sequence: u64) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.handle, segment_name(sequence), AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Copies a damaged segment to `quarantine/`, once: true if it was not there yet.
    pub(super) fn quarantine_segment(&self, sequence: u64) -> io::Result<bool> {
        let quarantine = self.quarantine()?;
        let name = segment_name(sequence);
        let mut copy = match open_in(&quarantine, &name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            opened => opened?,
        };
        let (mut segment, _) = self.open_segment(sequence)?;
        io::copy(&mut segment, &mut copy)?;
        copy.sync_all()?;
        quarantine.sync_all()?;
        Ok(true)
    }

    /// Adds a line to `quarantine/rows.jsonl`; durable when this returns.
    pub(super) fn quarantine_row(&self, line: &str) -> io::Result<()> {
        let quarantine = self.quarantine()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
        let mut rows = open_in(&quarantine, "rows.jsonl", flags)?;
        rows.write_all(format!("{line}\n").as_bytes())?;
        rows.sync_all()?;
        quarantine.sync_all()
    }

    /// The text that was noted last under this name; `None` if none was.
    pub(super) fn note(&self, name: &str) -> io::Result<Option<String>> {
        match open_in(&self.handle, name, OFlags::RDONLY) {
            Ok(file) => io::read_to_string(file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Notes a text under a name: the old one or the new one stands, whatever happens.
    pub(super) fn set_note(&self, name: &str, text: &str) -> io::Result<()> {
        let draft = format!("{name}.new");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let mut file = open_in(&self.handle, &draft, flags)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        rustix::fs::renameat(&self.handle, &draft, &self.handle, name)?;
        self.handle.sync_all()
    }

    fn quarantine(&self) -> io::Result<File> {
        match rustix::fs::mkdirat(&self.handle, QUARANTINE_NAME, Mode::from_raw_mode(DIR_MODE)) {
            Ok(()) => self.handle.sync_all()?,
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        open_in(&self.handle, QUARANTINE_NAME, OFlags::RDONLY | OFlags::DIRECTORY)
    }
}

const LOOP: i32 = rustix::io::Errno::LOOP.raw_os_error();
const NOT_A_DIRECTORY: i32 = rustix::io::Errno::NOTDIR.raw_os_error();

fn open_dir(path: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(path).or_else(|error| {
        // What stands there already is judged by the open below.
        if path.symlink_metadata().is_ok() { Ok(()) } else { Err(error) }
    })?;
    let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits();
    let flags = i32::try_from(flags).map_err(io::Error::other)?;
    let handle = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if handle.metadata()?.mode() & 0o077 != 0 {
        handle.set_permissions(Permissions::from_mode(DIR_MODE))?;
    }
    Ok(handle)
}

fn open_in(dir: &File, name: &str, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(FILE_MODE)).map(File::from)?)
}

fn segment_name(sequence: u64) -> String {
    format!("{sequence:012}{SEGMENT_SUFFIX}")
}

fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => write_zeros(file, bytes),
        other => Ok(other?),
    }
}

/// For file systems without `fallocate`: takes the space by writing it.
fn write_zeros(file: &File, bytes: u64) -> io::Result<()> {
    static BLOCK: [u8; 64 * 1024] = [0; 64 * 1024];
    let mut at = 0;
    while at < bytes {
        let step = usize::try_from(bytes - at).unwrap_or(usize::MAX).min(BLOCK.len());
        file.write_all_at(&BLOCK[..step], at)?;
        at += step as u64;
    }
    Ok(())
}
