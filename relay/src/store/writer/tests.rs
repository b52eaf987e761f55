use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;

use longrein_proto::hub::{Loaded, StoreOp};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::super::keeper::Ticket;
use super::super::{Committed, StoreReader};
use super::*;

/// Commits as it is told.
struct Told(VecDeque<Result<(), StoreError>>);

impl Store for Told {
    fn place(&self) -> String {
        "nowhere".to_string()
    }
    fn load(&mut self) -> Result<Loaded, StoreError> {
        Ok(Loaded::default())
    }
    fn commit(&mut self, batches: &[Vec<StoreOp>]) -> Result<Vec<Committed>, StoreError> {
        let result = self.0.pop_front().unwrap_or(Ok(()));
        result.map(|()| vec![Committed::default(); batches.len()])
    }
    fn probe(&mut self) -> Result<(), StoreError> {
        Err(StoreError::Full)
    }
    fn reader(&self) -> Result<Box<dyn StoreReader>, StoreError> {
        Err(StoreError::Full)
    }
    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Keeps the level of each line that operators see.
#[derive(Default)]
struct Levels(Arc<Mutex<Vec<Level>>>);

impl Subscriber for Levels {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(*event.metadata().level());
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn a_store_that_comes_and_goes_is_told_once_each() {
    let disk = || StoreError::Disk {
        why: "unplugged".to_string(),
    };
    let conflict = StoreError::Order {
        journal: "j".into(),
        number: 1,
        next: 2,
    };
    let results = [
        Err(conflict.clone()),
        Err(disk()),
        Err(StoreError::Full),
        Err(conflict),
        Err(disk()),
        Ok(()),
        Ok(()),
        Err(disk()),
    ];
    let expected: Vec<bool> = results.iter().map(Result::is_ok).collect();
    let (give, waiting) = sync_channel(1);
    let batch = |ticket| Waiting {
        ticket: Ticket(ticket),
        generation: Some(ticket),
        batch: vec![],
        bytes: 0,
    };
    give.send(batch(0)).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut give = Some(give);
    // One after the other, so that each is a transaction of its own.
    let on_outcome = {
        let told = Arc::clone(&told);
        move |outcome: Outcome| {
            let mut told = told.lock().unwrap();
            told.push(outcome.result.is_ok());
            match told.len() {
                8 => give = None,
                next => give.as_ref().unwrap().send(batch(next as u64)).unwrap(),
            }
        }
    };
    let store = Box::new(Told(results.into()));
    let shared = Arc::new(Shared::default());
    let writer = Writer::new(store, waiting, Arc::clone(&shared), Box::new(on_outcome));
    let levels = Levels::default();
    let seen = Arc::clone(&levels.0);
    tracing::subscriber::with_default(levels, || writer.run());
    assert_eq!(*told.lock().unwrap(), expected);
    // The last failure comes too soon after the first for another line.
    assert_eq!(*seen.lock().unwrap(), [Level::ERROR, Level::INFO]);
    assert!(shared.is_degraded.load(Ordering::Acquire));
}

#[test]
fn after_a_batch_that_failed_all_of_its_generation_fail() {
    let (give, waiting) = sync_channel(8);
    let batch = |ticket, generation: u64| Waiting {
        ticket: Ticket(ticket),
        generation: Some(generation),
        batch: vec![],
        bytes: 0,
    };
    let told = Arc::new(Mutex::new(Vec::new()));
    let told_too = Arc::clone(&told);
    let mut rest = vec![batch(4, 2), batch(3, 2), batch(2, 1)];
    let mut give = Some(give);
    give.as_ref().unwrap().send(batch(1, 1)).unwrap();
    // One after the other, so that each is a transaction of its own.
    let on_outcome = move |outcome: Outcome| {
        told_too
            .lock()
            .unwrap()
            .push((outcome.ticket.0, outcome.result));
        match rest.pop() {
            Some(next) => give.as_ref().unwrap().send(next).unwrap(),
            None => give = None,
        }
    };
    // The store is asked three times only: the second batch never reaches it.
    let results = [Err(StoreError::Full), Ok(()), Ok(())];
    let store = Box::new(Told(results.into()));
    let shared = Arc::new(Shared::default());
    Writer::new(store, waiting, shared, Box::new(on_outcome)).run();
    let committed = Ok(Committed::default());
    assert_eq!(
        *told.lock().unwrap(),
        [
            (1, Err(StoreError::Full)),
            (2, Err(StoreError::AfterFailure)),
            (3, committed.clone()),
            (4, committed),
        ]
    );
}
