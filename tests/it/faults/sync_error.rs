//! A disk under the journal that fails to sync. After a failed `fdatasync` the kernel forgets what it could not write, so
//! the segment is given up and never synced again; what lives in it is written elsewhere, or nothing new is begun.

use std::path::{Path, PathBuf};
use std::process::Command;

use http::StatusCode;

use super::{segments, user, users};
use crate::harness::{Folder, Load, Pace, ServerRig, Setup, Weather, eventually, fault, within};

/// What a caller is told when the journal takes no more.
const REFUSED: &str = "cannot record usage";

/// Calls that may be answered before the first failed sync is noticed: far more than are.
const MOST_ANSWERED: u64 = 1_000;

/// How often a refused call is made again to see that it stays refused.
const REFUSALS: u64 = 20;

/// One call of `fsync` or `fdatasync`.
struct SyncCall {
    is_ok: bool,
    is_of_data: bool,
    path: PathBuf,
}

/// `sync_error.c`, loaded into a gateway.
struct FailingDisk {
    folder: Folder,
}

impl FailingDisk {
    /// Compiles it and starts the first gateway anew with it.
    async fn under(rig: &mut ServerRig) -> Self {
        let disk = Self { folder: Folder::new() };
        let (source, library) = (disk.file("sync_error.c"), disk.file("sync_error.so"));
        std::fs::write(&source, include_str!("sync_error.c")).unwrap();
        let mut compiler = Command::new("cc");
        let compiled =
            compiler.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]).arg(&library).arg(&source);
        let compiled = compiled.output().expect("`cc` is needed for this test");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let gateway = &mut rig.gateways[0];
        let journal = journal(&gateway.journal());
        for (name, path) in [
            ("LD_PRELOAD", &library),
            ("TOLLGATE_TEST_SYNC_FAILS", &disk.file("fails")),
            ("TOLLGATE_TEST_SYNC_FOLDER", &journal),
        ] {
            gateway.environment.push((name.to_owned(), path.display().to_string()));
        }
        gateway.restart_with("TOLLGATE_TEST_SYNC_LOG", disk.file("log").display()).await;
        assert!(!disk.calls().is_empty(), "the library is not loaded");
        disk
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// From now on nothing whose path begins with this can be synced.
    fn fail(&self, prefix: &Path) {
        let draft = self.file("fails.new");
        std::fs::write(&draft, prefix.display().to_string()).unwrap();
        std::fs::rename(draft, self.file("fails")).unwrap();
    }

    fn heal(&self) {
        std::fs::remove_file(self.file("fails")).unwrap();
    }

    /// All calls so far.
    fn calls(&self) -> Vec<SyncCall> {
        let log = std::fs::read_to_string(self.file("log")).unwrap_or_default();
        let call = |line: &str| {
            let mut words = line.splitn(3, ' ');
            let (result, name, path) = (words.next()?, words.next()?, words.next()?);
            Some(SyncCall { is_ok: result == "ok", is_of_data: name == "fdatasync", path: path.into() })
        };
        log.lines().map(|line| call(line).unwrap()).collect()
    }

    /// Once this segment could not be synced, it is never tried again.
    fn check_given_up(&self, segment: &Path) {
        let calls = self.calls().into_iter().filter(|call| call.path == segment);
        let went_well: Vec<bool> = calls.map(|call| call.is_ok).collect();
        let failed = went_well.iter().position(|is_ok| !is_ok).expect("no sync of the segment failed");
        assert_eq!(failed, went_well.len() - 1, "a poisoned segment was synced again: {went_well:?}");
    }
}

/// The folder as the kernel names it.
fn journal(path: &Path) -> PathBuf {
    path.canonicalize().unwrap()
}

/// The segment that is written to.
fn active(journal: &Path) -> PathBuf {
    segments::read(journal).pop().expect("no segment has records").path
}

async fn rig() -> (ServerRig, FailingDisk) {
    let mut rig = ServerRig::with(Setup::default().plan("wide", 1_000_000), &[]).await;
    let disk = FailingDisk::under(&mut rig).await;
    (rig, disk)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_cannot_be_synced_is_given_up_and_all_that_lived_in_it_survives_its_loss() {
    let (mut rig, disk) = rig().await;
    let tokens = users(&rig, "user", 8, "wide");
    let load = Load::start(&rig, &tokens, Pace::default());
    load.more(60).await;
    // what ends from here on stands in the journal only
    rig.postgres_proxy.set(Weather::Broken).await;
    load.more(60).await;
    let bad = active(&journal(&rig.gateways[0].journal()));
    disk.fail(&bad);
    eventually("the gateway stays ready on a failing disk", async || {
        (!rig.gateways[0].ready().await.0).then_some(())
    })
    .await;
    load.more(60).await;
    let seen = load.stop().await;
    assert_eq!((seen.server_errors(), seen.broken()), (seen.count(503), 0), "{}", seen.examples());
    // a segment's data is synced only after what was saved has been written to it
    eventually("nothing is saved elsewhere", async || {
        disk.calls().iter().any(|call| call.is_ok && call.is_of_data && call.path > bad).then_some(())
    })
    .await;
    eventually("requests stay open", async || {
        (rig.gateways[0].metric("tollgate_in_flight_requests").await == 0).then_some(())
    })
    .await;
    let (is_ready, health) = rig.gateways[0].ready().await;
    assert!(!is_ready && health["journal"]["poisonedSegments"] == 1, "{health}");
    disk.check_given_up(&bad);
    let waiting = rig.gateways[0].metric("tollgate_journal_pending_events").await;
    rig.gateways[0].kill();
    // what was never synced is lost with the disk
    std::fs::remove_file(&bad).unwrap();
    disk.heal();
    rig.postgres_proxy.set(Weather::Clear).await;
    rig.gateways[0].start_again().await;
    let books = rig.finish().await;
    let whole = books.check_whole(&seen);
    fault(
        "F14",
        "fdatasync of one journal segment fails: given up and never synced again, not ready, what lived in it survives its loss",
        format_args!("{waiting} records waited, {whole} answers, 0 lost, 0 doubled"),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_no_segment_can_be_synced_nothing_new_reaches_the_upstream_and_open_answers_are_recorded_later()
{
    let (mut rig, disk) = rig().await;
    let alice = user(&rig, "alice", "wide");
    assert_eq!(rig.chat(&alice, "gpt-4o").send().await.status, StatusCode::OK);
    let open = rig.chat(&alice, "gpt-4o").stream();
    let open = open.header("x-stub-pieces", 2).header("x-stub-piece-delay-ms", 15_000);
    let id = open.id.clone();
    let open = tokio::spawn(open.send());
    eventually("the stream does not open", async || (rig.stub.stats().await["open"] == 1).then_some(()))
        .await;
    let folder = journal(&rig.gateways[0].journal());
    let bad = active(&folder);
    disk.fail(&folder);
    let mut answered = 0;
    loop {
        let answer = rig.chat(&alice, "gpt-4o").send().await;
        if answer.status == StatusCode::OK {
            answered += 1;
            assert!(answered < MOST_ANSWERED, "nothing is refused on a dead disk");
            continue;
        }
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text());
        assert!(!answer.header("retry-after").is_empty());
        // on a busy machine a call may be refused for another reason
        if answer.message().contains(REFUSED) {
            break;
        }
    }
    let before = rig.stub.requests().await;
    for _ in 0..REFUSALS {
        let answer = rig.chat(&alice, "gpt-4o").send().await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text());
    }
    assert_eq!(rig.stub.requests().await, before, "requests that reached the upstream");
    assert!(!rig.gateways[0].ready().await.0, "ready on a dead disk");
    assert_eq!(within("the stream", open).await.unwrap().status, StatusCode::OK);
    // and that of a call that was under way when the disk died
    let waiting = eventually("only ENDs that no segment took wait", async || {
        let pending = rig.gateways[0].metric("tollgate_journal_pending_events").await;
        (1..=2).contains(&pending).then_some(pending)
    })
    .await;
    let recorded = format!("SELECT count(*) FROM message_logs WHERE request_id = '{id}'");
    assert_eq!(rig.postgres.number(&recorded).await, 0, "an END that no segment took is in the ledger");
    disk.check_given_up(&bad);
    disk.heal();
    eventually("the stream's END is not recorded", async || {
        (rig.postgres.number(&recorded).await == 1).then_some(())
    })
    .await;
    eventually("the gateway does not serve again", async || {
        (rig.chat(&alice, "gpt-4o").send().await.status == StatusCode::OK).then_some(())
    })
    .await;
    assert!(!rig.gateways[0].ready().await.0, "a disk that has failed is not trusted before a restart");
    disk.check_given_up(&bad);
    rig.gateways[0].stop().await;
    rig.gateways[0].start_again().await;
    let books = rig.finish().await;
    assert_eq!((books.row(&id).outcome.as_str(), books.row(&id).messages), ("ok", 1));
    fault(
        "F14",
        "no journal segment can be synced: 503 before the upstream, not ready, ends of open requests are recorded once the disk is back",
        format_args!(
            "{answered} answers until it was noticed, {REFUSALS} refused, 0 reached the upstream, {waiting} ENDs waited in memory"
        ),
    );
}
