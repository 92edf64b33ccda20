//! What keeps a gateway from starting: one clear sentence with what to do, and exit code 1.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::harness::{Folder, Rig, command, eventually};

/// Runs a gateway that must not start; gives what it says to its operator.
async fn refused(config: &Path) -> String {
    let mut child = command(config).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the gateway runs where it must refuse", async || child.try_wait().unwrap()).await;
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(output.stdout.is_empty(), "errors belong to stderr");
    said
}

/// The rig's configuration with another gateway's ports and folder, changed further by `change`.
fn neighbour(rig: &Rig, folder: &Folder, change: impl Fn(String) -> String) -> PathBuf {
    let text = std::fs::read_to_string(&rig.gateway().config).unwrap();
    let file = folder.path().join("tollgate.toml");
    std::fs::write(&file, change(text)).unwrap();
    file
}

/// `text` with the value of `key` replaced.
fn with(text: &str, key: &str, value: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
    text.replace(line, &format!("{key} = {value}"))
}

#[tokio::test]
async fn two_gateways_on_one_data_dir_are_refused() {
    let (rig, folder) = (Rig::start().await, Folder::new());
    let config = neighbour(&rig, &folder, |text| {
        let text = with(&text, "listen", r#""127.0.0.1:0""#);
        with(&text, "admin_listen", r#""127.0.0.1:0""#)
    });
    let said = refused(&config).await;
    assert!(said.contains("another gateway uses"), "{said}");
    assert!(said.contains("storage.data_dir"), "what to do: {said}");
    rig.finish().await;
}

#[tokio::test]
async fn a_port_in_use_is_told_with_its_key() {
    let (rig, folder) = (Rig::start().await, Folder::new());
    let data_dir = format!("{:?}", folder.path().join("data"));
    for (free, taken) in [("listen", "admin_listen"), ("admin_listen", "listen")] {
        let config = neighbour(&rig, &folder, |text| {
            let text = with(&text, "data_dir", &data_dir);
            with(&text, free, r#""127.0.0.1:0""#)
        });
        let said = refused(&config).await;
        assert!(said.contains(&format!("(`server.{taken}`)")), "{said}");
        assert!(said.contains("another program listens there"), "{said}");
    }
    rig.finish().await;
}

#[tokio::test]
async fn a_data_dir_that_cannot_be_written_is_told_with_its_path() {
    let (rig, folder) = (Rig::start().await, Folder::new());
    // root may write anywhere: a file where the folder should be stops everybody
    let file = folder.path().join("a-file");
    std::fs::write(&file, "in the way").unwrap();
    for data_dir in [file.clone(), file.join("below")] {
        let config = neighbour(&rig, &folder, |text| {
            let text = with(&text, "data_dir", &format!("{data_dir:?}"));
            let text = with(&text, "listen", r#""127.0.0.1:0""#);
            with(&text, "admin_listen", r#""127.0.0.1:0""#)
        });
        let said = refused(&config).await;
        assert!(said.contains(file.to_str().unwrap()), "{said}");
        assert!(said.contains("storage.data_dir"), "{said}");
        assert!(said.contains("hint: "), "what to do: {said}");
    }
    rig.finish().await;
}

#[tokio::test]
async fn every_mistake_of_a_configuration_is_told_with_line_key_and_what_is_allowed() {
    let (rig, folder) = (Rig::start().await, Folder::new());
    let config = neighbour(&rig, &folder, |text| {
        let text = text.replacen("[server]", "[server]\nlissen = \"127.0.0.1:1\"", 1);
        with(&text, "timezone", r#""Mars/Olympus""#)
    });
    let said = refused(&config).await;
    let text = std::fs::read_to_string(&config).unwrap();
    let line = |start: &str| 1 + text.lines().position(|line| line.starts_with(start)).unwrap();
    let place = |start: &str| format!("{}:{}: ", config.display(), line(start));
    assert!(said.contains(&format!("{}server.lissen: ", place("lissen"))), "{said}");
    assert!(said.contains("`listen`"), "a hint at the key that was meant: {said}");
    assert!(said.contains(&format!("{}quota.timezone: found \"Mars/Olympus\"", place("timezone"))), "{said}");
    rig.finish().await;
}

#[tokio::test]
async fn a_missing_file_and_a_missing_variable_are_told_by_name() {
    let folder = Folder::new();
    let nowhere = folder.path().join("nowhere.toml");
    let said = refused(&nowhere).await;
    assert!(said.contains(nowhere.to_str().unwrap()) && said.contains("no such file"), "{said}");
    // the shipped file needs a secret, and the gateway is started with an empty environment
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/tollgate.toml");
    let said = refused(&shipped).await;
    assert!(said.contains("TOLLGATE_JWT_SECRET"), "{said}");
}

#[test]
fn the_schema_is_printed_without_a_configuration() {
    let folder = Folder::new();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let output = command.args(["config", "schema"]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema, tollgate::config::json_schema());
}
