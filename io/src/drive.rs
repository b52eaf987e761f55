//! The drive loop: joins a role to its paths, its timer and its program.
//!
//! Everything runs on one thread and calls directly: a datagram that was read goes into the role, and what the role has
//! to send is with the kernel before anything else runs. Nothing waits in a channel.

use crate::clock;
use crate::connection::Connection;
use crate::engine::Engine;
use crate::path::{CLOSE_DONE, Path};
use crate::remote::{Call, Remote};
use longrein_proto::base::{MonoTime, Name, NodeName, PathId};
use longrein_proto::crypto::Peer;
use longrein_proto::role::{Input, Role, Transmit};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// A role with its paths; clones are handles to the same one.
pub struct Driver<R: Role>(Rc<Inner<R>>);

struct Inner<R: Role> {
    role: RefCell<R>,
    on_event: RefCell<EventHandler<R>>,
    paths: RefCell<BTreeMap<PathId, Rc<Path>>>,
    /// The same by node: a relay looks at one node's whenever one comes up.
    by_peer: RefCell<BTreeSet<(NodeName, PathId)>>,
    engine: Engine,
    tasks: RefCell<Vec<JoinHandle<()>>>,
    calls: mpsc::Sender<Call<R>>,
    counts: Cell<DriveCounts>,
    next_path: Cell<u32>,
    last_timeout: Cell<MonoTime>,
    flushing: Cell<bool>,
    closing: Cell<bool>,
    ended: Notify,
}

type EventHandler<R> = Box<dyn FnMut(&Driver<R>, <R as Role>::Event)>;

/// What the drive loop counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriveCounts {
    /// Paths that came up.
    pub paths_up: u64,
    /// Paths that went down.
    pub paths_down: u64,
    /// Datagrams for a path that was gone.
    pub dropped_no_path: u64,
    /// UDP datagrams that named the connection of a path. What reached a relay's port beyond them is of no use: garbage,
    /// strangers, and handshakes that failed.
    pub datagrams: u64,
}

impl<R: Role> Clone for Driver<R> {
    fn clone(&self) -> Self {
        Driver(Rc::clone(&self.0))
    }
}

impl<R: Role + 'static> Driver<R> {
    /// Starts driving `role`; must be called within [`crate::runtime::run`].
    ///
    /// `on_event` gets each event of the role, one after the other. It may call [`Driver::with`] and all other methods.
    ///
    /// # Errors
    /// When the system gives no timer.
    pub fn start(
        role: R,
        on_event: impl FnMut(&Driver<R>, R::Event) + 'static,
    ) -> io::Result<Driver<R>> {
        let (calls, waiting) = mpsc::channel(CALLS_MAX);
        let driver = Driver(Rc::new(Inner {
            role: RefCell::new(role),
            on_event: RefCell::new(Box::new(on_event)),
            paths: RefCell::default(),
            by_peer: RefCell::default(),
            engine: Engine::new()?,
            tasks: RefCell::default(),
            calls,
            counts: Cell::default(),
            next_path: Cell::new(1),
            last_timeout: Cell::default(),
            flushing: Cell::new(false),
            closing: Cell::new(false),
            ended: Notify::new(),
        }));
        let here: Weak<Inner<R>> = Rc::downgrade(&driver.0);
        HERE.with_borrow_mut(|drivers| {
            drivers.retain(|driver| driver.strong_count() > 0);
            drivers.push(here);
        });
        tokio::task::spawn_local(driver.clone().keep_time());
        driver.spawn(driver.clone().tell_wall_clock());
        driver.spawn(driver.clone().take_calls(waiting));
        Ok(driver)
    }

    /// Runs `act` on the role, then sends what it has to send, hands out its events and sets the timer.
    ///
    /// From within `on_event` the events that follow are handed out after the handler's return.
    ///
    /// # Panics
    /// When `act` itself calls the driver: it has the role already.
    pub fn with<T>(&self, act: impl FnOnce(&mut R, MonoTime) -> T) -> T {
        let output = act(&mut self.0.role.borrow_mut(), clock::now());
        self.flush();
        output
    }

    /// Tells the role that what it asked to be stored is on the disk.
    pub fn persisted(&self, ticket: u64) {
        self.handle(Input::Persisted { ticket });
    }

    /// A handle for other threads.
    pub fn remote(&self) -> Remote<R> {
        Remote::new(self.0.calls.clone())
    }

    /// Has `hook` called whenever packets have arrived, before they are read and handled: what they are for may get ready
    /// meanwhile. There is one; a second is not taken.
    pub fn on_arrival(&self, hook: impl Fn() + 'static) {
        self.0.engine.on_arrival(hook);
    }

    /// Closes a path; the role hears of it as of any path that ends.
    pub fn hang_up(&self, path: PathId) {
        if let Some(path) = self.path(path) {
            path.close(CLOSE_DONE);
        }
    }

    /// The path of this number, while it is up.
    pub fn path(&self, path: PathId) -> Option<Rc<Path>> {
        self.0.paths.borrow().get(&path).cloned()
    }

    /// The paths that are up, by number.
    pub fn paths(&self) -> Vec<Rc<Path>> {
        self.0.paths.borrow().values().cloned().collect()
    }

    /// The paths to a node that are up, by number.
    pub fn paths_to(&self, node: &NodeName) -> Vec<Rc<Path>> {
        let by_peer = self.0.by_peer.borrow();
        let from = (node.clone(), PathId(0));
        let own = by_peer.range(from..).take_while(|(peer, _)| peer == node);
        own.filter_map(|(_, id)| self.path(*id)).collect()
    }

    /// What was counted so far.
    pub fn counts(&self) -> DriveCounts {
        let mut counts = self.0.counts.get();
        let paths = self.0.paths.borrow();
        counts.datagrams += paths.values().map(|path| path.datagrams()).sum::<u64>();
        counts
    }

    /// Runs a task on this thread that ends with the driver.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let handle = tokio::task::spawn_local(task);
        let mut tasks = self.0.tasks.borrow_mut();
        tasks.retain(|task| !task.is_finished());
        tasks.push(handle);
    }

    /// Ends all: tasks, then the last packets that the role has to send, then the connections. Takes 500 ms at most.
    ///
    /// What the role shall say in farewell is asked of it before, by [`Driver::with`]. Not to be called from a task of
    /// [`Driver::spawn`], which this ends.
    pub async fn close(&self) {
        let deadline = Instant::now() + CLOSE_MAX;
        self.0.closing.set(true);
        let tasks = self.0.tasks.take();
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            // It was ended, or had ended before.
            drop(task.await);
        }
        self.flush();
        let paths = self.paths();
        let flushed = || paths.iter().all(|path| path.connection().is_flushed());
        let farewell_until = Instant::now() + FAREWELL_MAX;
        while !flushed() && Instant::now() < farewell_until {
            sleep(Duration::from_millis(1)).await;
        }
        self.0.engine.close(deadline).await;
        self.0.ended.notify_one();
    }

    /// Ends all at once, and waits for nothing.
    pub(crate) fn abandon(&self) {
        self.0.closing.set(true);
        for task in self.0.tasks.take() {
            task.abort();
        }
        self.0.engine.abandon();
        self.0.ended.notify_one();
    }

    /// Makes a connection a path: its datagrams go to the role from now on. None when the driver is closing.
    pub(crate) fn attach(
        &self,
        connection: Rc<Connection>,
        link: Name,
        peer: Peer,
    ) -> Option<Rc<Path>> {
        if self.0.closing.get() {
            connection.close(CLOSE_DONE);
            return None;
        }
        let id = PathId(self.0.next_path.replace(self.0.next_path.get() + 1));
        let path = Rc::new(Path::new(
            id,
            link.clone(),
            peer.node.clone(),
            Rc::clone(&connection),
        ));
        self.0.paths.borrow_mut().insert(id, Rc::clone(&path));
        let by_peer = (path.peer().clone(), id);
        self.0.by_peer.borrow_mut().insert(by_peer);
        self.count(|counts| counts.paths_up += 1);
        tracing::info!(path = id.0, %link, node = %path.peer(), remote = %path.remote(), "path is up");
        tokio::task::spawn_local(self.clone().see_off(Rc::clone(&path)));
        self.handle(Input::PathUp {
            path: id,
            link,
            peer,
        });
        self.tell_address(&path);
        let (inner, reader) = (Rc::downgrade(&self.0), Rc::downgrade(&path));
        connection.read_with(move |bytes| {
            if let (Some(inner), Some(path)) = (inner.upgrade(), reader.upgrade()) {
                Driver(inner).on_datagram(&path, bytes);
            }
        });
        Some(path)
    }

    /// What carries the paths.
    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Waits for a path's end, and takes it from the role.
    async fn see_off(self, path: Rc<Path>) {
        let ending = path.connection().ended().await;
        self.0.paths.borrow_mut().remove(&path.id());
        let by_peer = (path.peer().clone(), path.id());
        self.0.by_peer.borrow_mut().remove(&by_peer);
        self.count(|counts| {
            counts.paths_down += 1;
            counts.datagrams += path.datagrams();
        });
        tracing::info!(path = path.id().0, link = %path.link(), node = %path.peer(), why = %ending, "path is down");
        self.handle(Input::PathDown { path: path.id() });
        path.on_ended(ending);
    }

    /// Tells the role where the other end is, when that is news.
    fn tell_address(&self, path: &Path) {
        if let Some(address) = path.untold_address() {
            let path = path.id();
            self.handle(Input::Remote { path, address });
        }
    }

    fn on_datagram(&self, path: &Path, bytes: &[u8]) {
        self.tell_address(path);
        self.with(|role, now| {
            path.on_received(now);
            let path = path.id();
            role.handle(now, Input::Packet { path, bytes });
        });
    }

    fn handle(&self, input: Input<'_>) {
        self.with(|role, now| role.handle(now, input));
    }

    /// Sends and hands out until the role has nothing more. An inner call (from an event handler) leaves that to the
    /// outer one.
    fn flush(&self) {
        let Some(_guard) = Flushing::begin(&self.0.flushing) else {
            return;
        };
        loop {
            self.send_all();
            self.pass_redials();
            let event = self.0.role.borrow_mut().poll_event();
            let Some(event) = event else { break };
            (self.0.on_event.borrow_mut())(self, event);
        }
        self.arm();
    }

    /// Hands to the kernel what the role has to send. What follows on the same path may share a packet.
    fn send_all(&self) {
        let mut last: Option<Rc<Path>> = None;
        loop {
            let transmit = self.0.role.borrow_mut().poll_transmit();
            let next = transmit.as_ref().map(|transmit| transmit.path);
            if let Some(path) = last.take_if(|path| Some(path.id()) != next) {
                path.flush();
            }
            let Some(Transmit { path, bytes }) = transmit else {
                break;
            };
            last = last.or_else(|| self.path(path));
            match &last {
                Some(path) => path.send(bytes),
                None => self.count(|counts| counts.dropped_no_path += 1),
            }
        }
    }

    /// Tells whoever dialled a path that it shall be dialled anew, or shall not any more.
    fn pass_redials(&self) {
        loop {
            let redial = self.0.role.borrow_mut().poll_redial();
            let Some(redial) = redial else { return };
            if let Some(path) = self.path(redial.path) {
                path.set_redial(redial.wanted);
            }
        }
    }

    fn arm(&self) {
        // Without this distance a role that is always due would keep the thread for itself.
        let soonest = self.0.last_timeout.get() + TIMEOUT_DISTANCE;
        let due = self.0.role.borrow().next_timeout();
        if let Some(due) = due {
            self.0.engine.alarm().arm(due.max(soonest));
        }
    }

    async fn keep_time(self) {
        let alarm = self.0.engine.alarm();
        loop {
            tokio::select! {
                expired = alarm.expired() => if expired.is_err() { return },
                () = self.0.ended.notified() => return,
            }
            if !self.0.closing.get() {
                self.on_time();
            }
            alarm.ring();
        }
    }

    fn on_time(&self) {
        let now = clock::now();
        let due = self.0.role.borrow().next_timeout();
        if due.is_some_and(|due| due <= now) {
            self.0.last_timeout.set(now);
            self.handle(Input::Timeout);
        } else {
            self.arm();
        }
    }

    async fn tell_wall_clock(self) {
        loop {
            self.handle(Input::Wall {
                unix_ms: clock::unix_ms(),
            });
            sleep(WALL_EVERY).await;
        }
    }

    async fn take_calls(self, mut waiting: mpsc::Receiver<Call<R>>) {
        while let Some(call) = waiting.recv().await {
            self.carry_out(call);
        }
    }

    fn carry_out(&self, call: Call<R>) {
        // Whoever is woken might take the processor from this thread: all is sent before.
        if let Some(afterwards) = self.with(|role, now| call(role, now)) {
            afterwards();
        }
    }

    /// Whether a call can be carried out now: from within another it cannot, and none overtakes those that wait.
    fn is_idle(&self) -> bool {
        let busy = self.0.flushing.get() || self.0.closing.get();
        let waiting = self.0.calls.capacity() < CALLS_MAX;
        !busy && !waiting && self.0.role.try_borrow_mut().is_ok()
    }

    fn count(&self, add: impl FnOnce(&mut DriveCounts)) {
        let mut counts = self.0.counts.get();
        add(&mut counts);
        self.0.counts.set(counts);
    }
}

thread_local! {
    /// The drive loops of this thread.
    static HERE: RefCell<Vec<Weak<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// Carries out a call at once if its drive loop runs on this thread and is idle; otherwise gives it back.
pub(crate) fn call_here<R: Role + 'static>(
    calls: &mpsc::Sender<Call<R>>,
    call: Call<R>,
) -> Option<Call<R>> {
    let driver = HERE.try_with(|drivers| {
        let drivers = drivers.borrow();
        let mut inners = drivers
            .iter()
            .filter_map(|driver| driver.upgrade()?.downcast().ok());
        inners.find(|inner: &Rc<Inner<R>>| inner.calls.same_channel(calls))
    });
    match driver.ok().flatten().map(Driver) {
        Some(driver) if driver.is_idle() => {
            driver.carry_out(call);
            None
        }
        Some(_) | None => Some(call),
    }
}

/// Marks that a flush runs, also when an event handler panics.
struct Flushing<'a>(&'a Cell<bool>);

impl<'a> Flushing<'a> {
    fn begin(flag: &'a Cell<bool>) -> Option<Flushing<'a>> {
        (!flag.replace(true)).then(|| Flushing(flag))
    }
}

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Calls from other threads that may wait: 10 ms of them at 100,000 a second; more are refused.
pub const CALLS_MAX: usize = 1_024;
/// Between tellings of the wall clock, which only records and certificates need.
const WALL_EVERY: Duration = Duration::from_secs(30);
/// Least time between two timeouts of a role.
const TIMEOUT_DISTANCE: Duration = Duration::from_micros(200);
/// What `close` takes at most.
const CLOSE_MAX: Duration = Duration::from_millis(500);
/// What of that goes to the last packets.
const FAREWELL_MAX: Duration = Duration::from_millis(100);
