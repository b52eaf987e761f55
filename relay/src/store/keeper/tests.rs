use std::sync::atomic::AtomicI64;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use longrein_proto::hub::{Loaded, ReadFrom};

use super::super::Sqlite;
use super::super::testing::{Folder, append, numbers, put, query};
use super::*;

/// A store whose commits are held until the test lets them go, and which tells how many batches each has.
struct Held {
    store: Sqlite,
    entered: Sender<usize>,
    go: Receiver<()>,
}

impl Store for Held {
    fn place(&self) -> String {
        self.store.place()
    }
    fn load(&mut self) -> Result<Loaded, StoreError> {
        self.store.load()
    }
    fn commit(&mut self, batches: &[Vec<StoreOp>]) -> Result<Vec<Committed>, StoreError> {
        self.entered.send(batches.len()).unwrap();
        // The test may have ended.
        let _ = self.go.recv();
        self.store.commit(batches)
    }
    fn probe(&mut self) -> Result<(), StoreError> {
        self.store.probe()
    }
    fn reader(&self) -> Result<Box<dyn StoreReader>, StoreError> {
        self.store.reader()
    }
    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Box::new(self.store).close()
    }
}

/// A store on a disk that has room for so many pages; without a number it has room for all.
struct Small {
    store: Sqlite,
    pages: Arc<AtomicI64>,
}

impl Small {
    fn resize(&self) {
        let pages = self.pages.load(Ordering::SeqCst);
        let connection = self.store.connection();
        connection
            .pragma_update(None, "max_page_count", pages)
            .unwrap();
    }
}

impl Store for Small {
    fn place(&self) -> String {
        self.store.place()
    }
    fn load(&mut self) -> Result<Loaded, StoreError> {
        self.store.load()
    }
    fn commit(&mut self, batches: &[Vec<StoreOp>]) -> Result<Vec<Committed>, StoreError> {
        self.resize();
        self.store.commit(batches)
    }
    fn probe(&mut self) -> Result<(), StoreError> {
        // As a disk that is full refuses also what takes no more room.
        match self.pages.load(Ordering::SeqCst) {
            ALL_ROOM => self.store.probe(),
            _ => Err(StoreError::Full),
        }
    }
    fn reader(&self) -> Result<Box<dyn StoreReader>, StoreError> {
        self.store.reader()
    }
    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Box::new(self.store).close()
    }
}

const ALL_ROOM: i64 = 1_000_000;
/// For facts that come at once on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Bench {
    keeper: Keeper,
    outcomes: Receiver<Outcome>,
    pages: Receiver<PageRead>,
}

impl Bench {
    fn of(store: impl Store + 'static) -> Bench {
        let ((tell, outcomes), (show, pages)) = (channel(), channel());
        let keeper = Keeper::start(
            Box::new(store),
            move |outcome| drop(tell.send(outcome)),
            move |page| drop(show.send(page)),
        );
        Bench {
            keeper: keeper.unwrap(),
            outcomes,
            pages,
        }
    }

    fn give(&self, ticket: u64, batch: Vec<StoreOp>) {
        self.keeper
            .try_commit(Ticket(ticket), ticket, batch)
            .unwrap();
    }

    /// The next outcome: its ticket, and whether it is stored.
    fn outcome(&self) -> (u64, bool) {
        let outcome = self.outcomes.recv_timeout(PATIENCE).unwrap();
        (outcome.ticket.0, outcome.result.is_ok())
    }

    fn outcomes(&self, count: usize) -> Vec<(u64, bool)> {
        (0..count).map(|_| self.outcome()).collect()
    }

    /// All numbers of a journal, as the reading thread sees them.
    fn all(&self, journal: &str) -> Vec<u64> {
        let from = ReadFrom::Number(0);
        let query = query(journal, from, false, 4_096);
        self.keeper.try_read(Ticket(0), query).unwrap();
        numbers(&self.pages.recv_timeout(PATIENCE).unwrap().result.unwrap())
    }
}

/// A bench, what its commits say when they begin, and what lets them go on.
fn held(folder: &Folder) -> (Bench, Receiver<usize>, Sender<()>) {
    let ((entered, entering), (let_go, go)) = (channel(), channel());
    let store = folder.open();
    (Bench::of(Held { store, entered, go }), entering, let_go)
}

#[test]
fn batches_that_wait_are_committed_in_one_transaction_and_told_in_order() {
    let folder = Folder::new();
    let (bench, entering, let_go) = held(&folder);
    bench.give(1, vec![append("j", 1, 1)]);
    assert_eq!(entering.recv_timeout(PATIENCE), Ok(1));
    for n in 2..=10 {
        bench.give(n, vec![append("j", n, n)]);
    }
    let_go.send(()).unwrap();
    assert_eq!(entering.recv_timeout(PATIENCE), Ok(9));
    let_go.send(()).unwrap();
    let expected: Vec<(u64, bool)> = (1..=10).map(|n| (n, true)).collect();
    assert_eq!(bench.outcomes(10), expected);
    assert_eq!(bench.all("j"), (1..=10).collect::<Vec<_>>());
    let counts = bench.keeper.counts();
    assert_eq!((counts.batches, counts.transactions), (10, 2));
}

#[test]
fn a_transaction_is_bounded_by_bytes_and_count() {
    let folder = Folder::new();
    let (bench, entering, let_go) = held(&folder);
    let large = |key: &str| vec![put(key, 1, &vec![0; 1024 * 1024])];
    bench.give(1, vec![append("j", 1, 1)]);
    assert_eq!(entering.recv_timeout(PATIENCE), Ok(1));
    for (ticket, key) in (2..).zip(["a", "b", "c", "d", "e"]) {
        bench.give(ticket, large(key));
    }
    for n in 7..2_000 {
        bench.give(n, vec![append("j", n, 1)]);
    }
    for expected in [3, 1_024, 971] {
        let_go.send(()).unwrap();
        assert_eq!(entering.recv_timeout(PATIENCE), Ok(expected));
    }
    let_go.send(()).unwrap();
    let expected: Vec<(u64, bool)> = (1..2_000).map(|n| (n, true)).collect();
    assert_eq!(bench.outcomes(1_999), expected);
}

#[test]
fn when_too_much_waits_a_batch_is_given_back_at_once() {
    let folder = Folder::new();
    let (bench, entering, let_go) = held(&folder);
    let large = |n: u64| vec![put(&format!("{n}"), 1, &vec![0; 1024 * 1024])];
    bench.give(0, large(0));
    assert_eq!(entering.recv_timeout(PATIENCE), Ok(1));
    let mut given = 1;
    let back = loop {
        match bench.keeper.try_commit(Ticket(given), given, large(given)) {
            Ok(()) => given += 1,
            Err(Busy(batch)) => break batch,
        }
    };
    assert_eq!(back, large(given));
    assert_eq!(given, 15, "with the names 16 are above 16 MiB");
    assert_eq!(bench.keeper.counts().busy, 1);
    drop(let_go);
    let expected: Vec<(u64, bool)> = (0..given).map(|n| (n, true)).collect();
    assert_eq!(bench.outcomes(15), expected);
    bench.give(given, back);
    assert_eq!(bench.outcome(), (given, true));
}

#[test]
fn more_batches_than_may_wait_are_given_back_also_when_they_are_short() {
    let folder = Folder::new();
    let (bench, entering, let_go) = held(&folder);
    bench.give(0, vec![append("j", 1, 1)]);
    assert_eq!(entering.recv_timeout(PATIENCE), Ok(1));
    for n in 1..=8_192 {
        bench.give(n, vec![append("j", n + 1, 1)]);
    }
    let one_more = vec![append("j", 9_000, 1)];
    let refused = bench
        .keeper
        .try_commit(Ticket(9_000), 9_000, one_more.clone());
    assert_eq!(refused, Err(Busy(one_more)));
    drop(let_go);
    let last = bench.outcomes(8_193).pop();
    assert_eq!(last, Some((8_192, true)));
}

#[test]
fn what_fails_takes_all_of_its_transaction_with_it_in_order_and_later_batches_are_stored() {
    let folder = Folder::new();
    let (bench, entering, let_go) = held(&folder);
    bench.give(1, vec![append("j", 1, 1)]);
    assert_eq!(entering.recv_timeout(PATIENCE), Ok(1));
    bench.give(2, vec![append("j", 2, 1)]);
    bench.give(3, vec![put("a", 7, b"7")]);
    bench.give(4, vec![append("j", 3, 1)]);
    let_go.send(()).unwrap();
    assert_eq!(entering.recv_timeout(PATIENCE), Ok(3));
    bench.give(5, vec![append("j", 4, 1)]);
    let_go.send(()).unwrap();
    let_go.send(()).unwrap();
    let expected = [(1, true), (2, false), (3, false), (4, false), (5, true)];
    assert_eq!(bench.outcomes(5), expected);
    assert_eq!(bench.all("j"), [1, 4]);
    // What was asked did not fit; nothing is wrong with the store.
    assert!(!bench.keeper.is_degraded());
}

#[test]
fn reading_goes_on_while_a_commit_is_held_up() {
    let folder = Folder::new();
    let (bench, entering, let_go) = held(&folder);
    bench.give(1, vec![append("j", 1, 1)]);
    let_go.send(()).unwrap();
    assert_eq!(bench.outcome(), (1, true));
    bench.give(2, vec![append("j", 2, 1)]);
    assert_eq!(entering.iter().take(2).count(), 2);
    assert_eq!(bench.all("j"), [1]);
    let_go.send(()).unwrap();
    assert_eq!(bench.outcome(), (2, true));
    assert_eq!(bench.all("j"), [1, 2]);
}

#[test]
fn a_full_disk_degrades_the_store_until_there_is_room_again() {
    let folder = Folder::new();
    let pages = Arc::new(AtomicI64::new(20));
    let bench = Bench::of(Small {
        store: folder.open(),
        pages: Arc::clone(&pages),
    });
    bench.give(1, vec![put("a", 1, b"1")]);
    assert_eq!(bench.outcome(), (1, true));
    bench.give(2, vec![put("b", 1, &vec![0; 1024 * 1024])]);
    let failed = bench.outcomes.recv_timeout(PATIENCE).unwrap();
    assert_eq!(failed.result, Err(StoreError::Full));
    assert!(bench.keeper.is_degraded());
    // What was there can be read, and what fits is stored.
    bench.give(3, vec![append("j", 1, 1)]);
    assert_eq!(bench.outcome(), (3, true));
    assert!(!bench.keeper.is_degraded());
    assert_eq!(bench.all("j"), [1]);
    bench.give(4, vec![put("b", 1, &vec![0; 1024 * 1024])]);
    assert_eq!(bench.outcome(), (4, false));
    assert!(bench.keeper.is_degraded());

    pages.store(ALL_ROOM, Ordering::SeqCst);
    // Nobody gives anything, and yet it is noticed.
    let deadline = Instant::now() + PATIENCE;
    while bench.keeper.is_degraded() {
        assert!(Instant::now() < deadline, "never good again");
        std::thread::yield_now();
    }
    bench.give(5, vec![put("b", 1, &vec![0; 1024 * 1024])]);
    assert_eq!(bench.outcome(), (5, true));
}

#[test]
fn what_waits_when_the_keeper_ends_is_committed_and_told() {
    let folder = Folder::new();
    let (bench, entering, let_go) = held(&folder);
    bench.give(1, vec![append("j", 1, 1)]);
    assert_eq!(entering.recv_timeout(PATIENCE), Ok(1));
    for n in 2..=5 {
        bench.give(n, vec![append("j", n, 1)]);
    }
    drop(let_go);
    let Bench {
        keeper, outcomes, ..
    } = bench;
    keeper.close();
    assert_eq!(outcomes.iter().count(), 5);
    // The log is in the file.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let (_, head) = folder.open().load().unwrap().journals.remove(0);
    assert_eq!(head.count, 5);
}
