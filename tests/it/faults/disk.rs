//! A full disk under the journal: refused before the upstream, what is in flight is recorded, and it goes on by itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use http::StatusCode;
use toml_edit::{Table, value};

use super::user;
use crate::harness::{Answer, Dialect, Folder, ServerRig, Setup, eventually, fault, within};

/// Room for one segment of the journal (16 MiB), not for two.
const DISK: &str = "size=20m";
/// A long name makes each record of the journal long as well.
pub const NAME_CHARS: usize = 150;
/// Limits of the plan: each makes the journal's records longer, so that the disk is full sooner.
const LIMITS: usize = 30;

/// More calls than fit into the room that 16 requests can give back: each gives back less than one call needs.
const MOST_GIVEN_BACK: u64 = 16;

/// What a caller is told when the journal takes no more.
const FULL: &str = "cannot record usage";

/// A small disk of its own.
struct Disk(PathBuf);

impl Disk {
    /// None where this user may not mount.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tollgate-it"]).arg(at).output();
        mounted.unwrap().status.success().then(|| Self(at.to_owned()))
    }

    /// A larger disk from now on.
    fn make_room(&self) {
        let grown = Command::new("mount").args(["-o", "remount,size=64m"]).arg(&self.0).status().unwrap();
        assert!(grown.success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // lazily: the gateway may not have closed its files
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// Thirty more limits of the plan `wide`.
pub fn many_limits(file: &mut toml_edit::DocumentMut) {
    let limits = file["plans"]["wide"]["limits"].as_array_of_tables_mut().unwrap();
    for number in 0..LIMITS {
        let mut limit = Table::new();
        limit["name"] = value(format!("{number:02}-{}", "a-long-name-".repeat(4)));
        limit["meter"] = value("messages");
        limit["max"] = value(1_000_000);
        limit["per"] = value("month");
        limits.push(limit);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_before_the_upstream_records_what_is_in_flight_and_heals_by_itself() {
    let folder = Folder::new();
    let Some(disk) = Disk::mount(&folder.path().join("disk")) else {
        eprintln!("SKIPPED: no tmpfs can be mounted here, so the full disk is not tested");
        return;
    };
    let data_dir = disk.0.join("data").display().to_string();
    let setup = Setup::default().plan("wide", 1_000_000).change(many_limits);
    let setup = setup.change(move |file| file["storage"]["data_dir"] = value(&data_dir));
    let rig = ServerRig::with(setup, &[]).await;
    let token = user(&rig, &"a".repeat(NAME_CHARS), "wide");
    let open = rig.chat(&token, "gpt-4o").stream();
    let open = open.header("x-stub-pieces", 2).header("x-stub-piece-delay-ms", 15_000);
    let id = open.id.clone();
    let open = tokio::spawn(open.send());
    eventually("the stream does not open", async || (rig.stub.stats().await["open"] == 1).then_some(()))
        .await;
    let mut admitted = 0_u64;
    let refused = loop {
        let calls =
            (0..16).map(|_| tokio::spawn(rig.call_at(0, Dialect::OpenAi, "gpt-4o").token(&token).send()));
        let answers = futures_util::future::join_all(calls).await;
        // on a busy machine a call may be refused for another reason
        let is_full = |answer: &Answer| answer.status != StatusCode::OK && answer.message().contains(FULL);
        let refused = answers.into_iter().map(Result::unwrap).find(is_full);
        admitted += 16;
        assert!(admitted < 40_000, "the disk is never full");
        if let Some(refused) = refused {
            break refused;
        }
    };
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text());
    assert!(!refused.header("retry-after").is_empty());
    // Each request is promised room for the largest END it may write; those that ended beside the refused one gave back
    // what they did not need. One at a time, nothing is given back any more once a call is refused.
    let mut given_back = 0_u64;
    while rig.chat(&token, "gpt-4o").send().await.status == StatusCode::OK {
        given_back += 1;
        assert!(given_back < MOST_GIVEN_BACK, "the room that ended requests gave back has no end");
    }
    let before = rig.stub.requests().await;
    for _ in 0..20 {
        let answer = rig.chat(&token, "gpt-4o").send().await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text());
    }
    assert_eq!(rig.stub.requests().await, before, "requests that reached the upstream");
    assert_eq!(within("the stream", open).await.unwrap().status, StatusCode::OK);
    disk.make_room();
    eventually("the gateway does not serve again", async || {
        (rig.chat(&token, "gpt-4o").send().await.status == StatusCode::OK).then_some(())
    })
    .await;
    let books = rig.finish().await;
    assert_eq!((books.row(&id).outcome.as_str(), books.row(&id).messages), ("ok", 1));
    fault(
        "F13",
        "disk full: 503 before the upstream, what is in flight is recorded, resumes without a restart",
        format_args!("{} answers before, 20 refused, 0 reached the upstream", books.messages() - 1),
    );
}
