//! Files: the configuration itself, and those that hold a secret.

use std::path::{Path, PathBuf};

use super::super::load;
use super::{SOUND, changed, env, settings, told};

/// A folder of its own for one test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tollgate-config-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// What is told about a file, with its folder left out.
fn told_of(folder: &Folder, path: &str) -> String {
    let problems = load(Path::new(path), &env).unwrap_err();
    problems.to_string().replace(folder.0.to_str().unwrap(), "FOLDER")
}

#[test]
fn a_file_is_loaded_and_named_in_problems() {
    let folder = Folder::new("load");
    let sound = folder.file("sound.toml", SOUND.as_bytes());
    assert_eq!(load(Path::new(&sound), &env).unwrap().upstreams.len(), 2);
    let broken = folder.file("broken.toml", changed("max = 5000", "max = -1").as_bytes());
    assert_eq!(
        told_of(&folder, &broken),
        "FOLDER/broken.toml:49: plans.team.limits[0].max: found -1, allowed: an integer, 0 to 9007199254740991"
    );
}

#[test]
fn a_file_that_cannot_be_read_says_what_to_do() {
    let folder = Folder::new("unreadable");
    let missing = folder.0.join("tollgate.toml").to_str().unwrap().to_owned();
    assert_eq!(
        told_of(&folder, &missing),
        "FOLDER/tollgate.toml: found no such file, allowed: a readable TOML file\n\
         hint: name yours with `tollgate run -c FILE`, or begin with a copy of the shipped `config/tollgate.toml`; \
         `tollgate demo` needs no file"
    );
    let latin = folder.file("latin.toml", b"# caf\xe9\n");
    assert_eq!(
        told_of(&folder, &latin),
        "FOLDER/latin.toml: found bytes that are no UTF-8, allowed: a readable TOML file\nhint: save it as UTF-8"
    );
    let large = folder.file("large.toml", &vec![b'#'; (4 << 20) + 1]);
    assert_eq!(
        told_of(&folder, &large),
        "FOLDER/large.toml: found more than 4 MiB, allowed: a readable TOML file\n\
         hint: check that it is the configuration"
    );
    let itself = folder.0.to_str().unwrap().to_owned();
    assert!(
        told_of(&folder, &itself).starts_with("FOLDER: found Is a directory"),
        "{}",
        told_of(&folder, &itself)
    );
}

/// The line of a key that takes a secret, from a file instead.
fn from_file(line: &str, key: &str, path: &str) -> String {
    changed(line, &format!("{key}_file = {path:?}"))
}

#[test]
fn secrets_come_from_files() {
    let folder = Folder::new("secrets");
    let long = "s3cret-s3cret-s3cret-s3cret-s3cret";
    for ending in ["", "\n", "\r\n"] {
        let path = folder.file("secret", format!("{long}{ending}").as_bytes());
        let issuers = settings(&from_file(r#"secret = "${JWT_SECRET}""#, "secret", &path)).issuers;
        let inline = settings(&changed("${JWT_SECRET}", long)).issuers;
        assert_eq!(issuers, inline, "one line break at the end is none of the secret's");
        let upstreams = settings(&from_file(r#"api_key = "sk-claude""#, "api_key", &path)).upstreams;
        assert_eq!(upstreams[1].api_key.as_deref(), Some(long));
        let storage =
            settings(&from_file(r#"redis_password = "hunter2-hunter2""#, "redis_password", &path)).storage;
        assert_eq!(storage.redis_password.as_deref(), Some(long));
    }
    let path = folder.file("url", b"postgresql://u:p@db/t\n");
    let text = from_file(r#"database_url = "postgresql://db/tollgate""#, "database_url", &path);
    assert_eq!(settings(&text).storage.database_url.as_deref(), Some("postgresql://u:p@db/t"));
    // inner line breaks and spaces are the secret's own
    let path = folder.file("odd", b" a\nb \n\n");
    let text = from_file(r#"redis_password = "hunter2-hunter2""#, "redis_password", &path);
    assert_eq!(settings(&text).storage.redis_password.as_deref(), Some(" a\nb \n"));
}

#[test]
fn a_bad_secret_file_is_told_without_its_content() {
    let folder = Folder::new("bad-secrets");
    let told_with = |path: &str| {
        let text = from_file(r#"redis_password = "hunter2-hunter2""#, "redis_password", path);
        told(&text).replace(folder.0.to_str().unwrap(), "FOLDER")
    };
    let hint = "allowed: a readable file that holds the secret alone\n\
                hint: check the path and that the gateway's user may read it";
    let key = "t.toml:12: storage.redis_password_file: found";
    let missing = folder.0.join("missing").to_str().unwrap().to_owned();
    let reason = "No such file or directory (os error 2)";
    assert_eq!(told_with(&missing), format!("{key} \"FOLDER/missing\": {reason}, {hint}"));
    let empty = folder.file("empty", b"\n");
    assert_eq!(told_with(&empty), format!("{key} \"FOLDER/empty\": nothing in it, {hint}"));
    let large = folder.file("large", &vec![b'x'; 64 * 1_024 + 1]);
    assert_eq!(told_with(&large), format!("{key} \"FOLDER/large\": more than 64KiB, {hint}"));
    let binary = folder.file("binary", b"\xff\xfe");
    assert_eq!(
        told_with(&binary),
        format!("{key} \"FOLDER/binary\": stream did not contain valid UTF-8, {hint}")
    );
    let short = folder.file("short", b"hunter2\n");
    let text = from_file(r#"secret = "${JWT_SECRET}""#, "secret", &short);
    assert_eq!(
        told(&text),
        "t.toml:64: issuers[0].secret_file: found a secret of 7 bytes, allowed: at least 32 bytes\n\
         hint: make one with `openssl rand -hex 32`"
    );
    let wrong = folder.file("wrong", b"mysql://root:hunter2@db\n");
    let text = from_file(r#"database_url = "postgresql://db/tollgate""#, "database_url", &wrong);
    assert_eq!(
        told(&text),
        "t.toml:9: storage.database_url_file: found a URL with another scheme, \
         allowed: a URL that begins with one of postgresql, postgres"
    );
}

#[test]
fn a_secret_stands_once() {
    let text = changed("redis_password = ", "redis_password_file = \"/run/secret\"\nredis_password = ");
    assert_eq!(
        told(&text),
        "t.toml:12: storage.redis_password_file: found both, allowed: one of `redis_password`, `redis_password_file`"
    );
    // an empty one is none
    settings(&changed("redis_password = ", "redis_password_file = \"${UNSET:-}\"\nredis_password = "));
}

#[test]
fn an_authority_of_redis_is_read_and_needs_tls() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = Folder::new("redis-ca");
    let path = folder.file("ca.pem", key.cert.pem().as_bytes());
    let url = r#"redis_url = "redis-cluster://one:6379?node=two:6379""#;
    let with = |scheme: &str| {
        SOUND.replace(url, &format!("redis_url = \"{scheme}://one:6379\"\nredis_ca_file = {path:?}"))
    };
    assert_eq!(settings(&with("rediss")).storage.redis_ca, [key.cert.der().to_vec()]);
    let told = told(&with("redis"));
    assert!(told.contains("storage.redis_ca_file: found a file although `redis_url` has no TLS"), "{told}");
    assert!(told.contains("hint: write `rediss://` in `redis_url`"), "{told}");
}
