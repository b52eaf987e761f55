//! What the hub tells reaches whoever waits for it, and nobody else.

use super::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn answered(board: &mut Switchboard, caller: &mut Caller, ask: u32, answer: Answer) {
    let event = CallerEvent::Answered { ask, answer };
    board.on_event(MonoTime::ZERO, caller, event);
}

fn ask(
    board: &mut Switchboard,
    caller: &mut Caller,
    request: Request,
    undo: Undo,
) -> (u32, oneshot::Receiver<Result<Answer, HubError>>) {
    let (answer, wanted) = oneshot::channel();
    board.ask(caller, request, undo, answer);
    (*board.open.keys().next_back().unwrap(), wanted)
}

#[test]
fn a_lock_that_nobody_waits_for_any_more_is_given_back() {
    let (mut board, mut caller) = (Switchboard::default(), Caller::default());
    caller.on_hub();
    let owner = Owner::Room(name("yard"));
    let request = Request::Lock {
        owner: owner.clone(),
        lock: name("gate"),
        ttl_ms: 1_000,
        wait_ms: 1_000,
    };
    let undo = Undo::Unlock(owner, name("gate"));
    let (number, wanted) = ask(&mut board, &mut caller, request, undo);
    drop(wanted);
    board.sweep(MonoTime::ZERO, &mut caller);
    assert_eq!(board.open.len(), 1, "the hub is there and will answer");
    answered(&mut board, &mut caller, number, Answer::Locked { token: 9 });
    assert!(
        matches!(board.open.values().next(), Some(Waiting::Nobody)),
        "the lock is given back"
    );
}

#[test]
fn without_a_hub_what_nobody_waits_for_is_not_asked_any_more() {
    let (mut board, mut caller) = (Switchboard::default(), Caller::default());
    for _ in 0..2_000 {
        let request = Request::Room { room: name("yard") };
        let (answer, wanted) = oneshot::channel();
        board.ask(&mut caller, request, Undo::Nothing, answer);
        drop(wanted);
        board.sweep(MonoTime::ZERO, &mut caller);
    }
    assert!(board.open.is_empty());
    let request = Request::Room { room: name("yard") };
    let (_, mut wanted) = ask(&mut board, &mut caller, request, Undo::Nothing);
    assert!(wanted.try_recv().is_err(), "it waits for the hub");
}

#[test]
fn a_room_is_read_in_one_place_and_left_when_that_is_gone() {
    let (mut board, mut caller) = (Switchboard::default(), Caller::default());
    caller.on_hub();
    let (seat, events) = RoomSeat::new();
    board.seat(name("yard"), seat).unwrap();
    let (second, _) = RoomSeat::new();
    assert_eq!(board.seat(name("yard"), second), Err(HubError::InUse));
    let mark = events.seat();
    drop(events);
    board.leave(&mut caller, &name("yard"), &mark);
    assert_eq!(board.open.len(), 1, "it asks to leave");
    let (third, events) = RoomSeat::new();
    board.seat(name("yard"), third).unwrap();
    // The older handle has nothing to say about the room that is joined again.
    board.leave(&mut caller, &name("yard"), &mark);
    assert!(!board.rooms.is_empty());
    drop(events);
    board.sweep(MonoTime::ZERO, &mut caller);
    assert!(board.rooms.is_empty());
}

#[test]
fn a_letter_that_nobody_reads_is_declined_to_who_wants_to_hear_of_it() {
    let (mut board, mut caller) = (Switchboard::default(), Caller::default());
    caller.on_hub();
    let letter = |want| {
        let post = longrein_proto::wire::hub::Post {
            id: MessageId([7; 16]),
            from: "controller/bob".parse().unwrap(),
            class: longrein_proto::base::Class::Reliable,
            flow: None,
            at_ms: 0,
            until_ms: 0,
            want,
            payload: vec![1].into(),
        };
        CallerEvent::Told(Tell::Directed(Directed { post, room: None }))
    };
    board.on_event(MonoTime::ZERO, &mut caller, letter(Want::Delivered));
    assert!(board.open.is_empty());
    board.on_event(MonoTime::ZERO, &mut caller, letter(Want::Applied));
    assert_eq!(board.open.len(), 1);

    let (tell, mut letters) = mpsc::channel(1);
    let missed = Arc::new(AtomicU64::new(0));
    board.read_letters(tell, Arc::clone(&missed)).unwrap();
    for _ in 0..2 {
        board.on_event(MonoTime::ZERO, &mut caller, letter(Want::Nothing));
    }
    assert!(letters.try_recv().is_ok());
    assert_eq!(missed.load(Ordering::Relaxed), 1);
}

#[test]
fn results_go_to_who_sent_the_message_until_the_last_one() {
    let (mut board, mut caller) = (Switchboard::default(), Caller::default());
    let id = MessageId([7; 16]);
    let (tell, mut results) = mpsc::channel(2);
    board.await_results(id, tell);
    for open in [1, 0] {
        let results = Vec::new();
        let told = CallerEvent::Told(Tell::Results { id, results, open });
        board.on_event(MonoTime::ZERO, &mut caller, told);
    }
    assert!(board.sends.is_empty());
    let open: Vec<u32> = std::iter::from_fn(|| Some(results.try_recv().ok()?.open)).collect();
    assert_eq!(open, [1, 0]);
}
