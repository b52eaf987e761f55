//! Where the drive loop runs.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use longrein_io::dial::{Route, dial};
use longrein_io::drive::Driver;
use longrein_io::enrol::keep_renewed;
use longrein_io::keys::Identity;
use longrein_io::remote::Remote;
use longrein_io::revocation_file::RevocationFile;
use longrein_io::{known_time, runtime};
use longrein_proto::crypto::Credential;
use longrein_proto::session::Dictionaries;
use tokio::sync::{Notify, oneshot, watch};

use crate::black_box::BlackBox;
use crate::contact::Contact;
use crate::desk::Desk;
use crate::{ConnectError, RecordSection};

/// A drive loop under way.
pub(crate) struct Engine {
    pub(crate) desk: Remote<Desk>,
    /// Asks it to end.
    pub(crate) end: Arc<Notify>,
    /// Closed when it has ended.
    pub(crate) running: watch::Receiver<()>,
}

/// On which thread a drive loop runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On one of its own.
    OwnThread,
    /// On that of the local runtime which starts it.
    Here,
}

impl Engine {
    /// Starts the drive loop, which dials every route.
    pub(crate) async fn start(
        place: Place,
        identity: (Identity, PathBuf),
        routes: Vec<Route>,
        extras: (Dictionaries, Option<RecordSection>),
        contact: Arc<watch::Sender<Contact>>,
    ) -> Result<Engine, ConnectError> {
        let (ready, started) = oneshot::channel();
        let (runs, running) = watch::channel(());
        let end = Arc::new(Notify::new());
        let wish = Arc::clone(&end);
        let serve = async move || {
            let driver = set_up(identity, routes, extras, contact);
            serve(driver, &wish, ready).await;
            drop(runs);
        };
        match place {
            Place::Here => drop(tokio::task::spawn_local(serve())),
            Place::OwnThread => drop(thread::Builder::new().name("longrein".to_string()).spawn(
                move || {
                    if let Err(error) = runtime::run(serve) {
                        tracing::error!(%error, "the drive loop cannot run");
                    }
                },
            )?),
        }
        let desk = started
            .await
            .map_err(|_| io::Error::other("the drive loop has ended"))??;
        Ok(Engine { desk, end, running })
    }
}

type Ready = oneshot::Sender<Result<Remote<Desk>, ConnectError>>;

async fn serve(driver: Result<Driver<Desk>, ConnectError>, end: &Notify, ready: Ready) {
    let driver = match driver {
        Ok(driver) => driver,
        Err(why) => {
            drop(ready.send(Err(why)));
            return;
        }
    };
    // Whoever wanted the connection may have given up: then its end is wished for already.
    drop(ready.send(Ok(driver.remote())));
    end.notified().await;
    driver.with(|desk, now| desk.say_goodbye(now));
    driver.close().await;
    driver.with(|desk, _| desk.set_black_box(None));
}

fn set_up(
    (identity, directory): (Identity, PathBuf),
    routes: Vec<Route>,
    (dictionaries, record): (Dictionaries, Option<RecordSection>),
    contact: Arc<watch::Sender<Contact>>,
) -> Result<Driver<Desk>, ConnectError> {
    let credential: Arc<dyn Credential> = identity.credential();
    let me = identity.node().clone();
    let black_box = match &record {
        Some(section) => {
            let (fingerprint, key) = (identity.fingerprint(), Arc::clone(&credential));
            Some(BlackBox::start(section, &me, fingerprint, key)?)
        }
        None => None,
    };
    let mut desk = Desk::new(
        me,
        credential,
        identity.fleet().clone(),
        Arc::clone(&contact),
    );
    desk.set_dictionaries(dictionaries);
    desk.set_black_box(black_box);
    desk.set_revocations(RevocationFile::open(&directory, identity.fleet()));
    let driver = Driver::start(desk, |_, event: Infallible| match event {})?;
    driver.spawn(known_time::keep(identity.clone(), directory.clone()));
    let to_renew = Rc::new(RefCell::new(routes.clone()));
    let renewed_over = Rc::clone(&to_renew);
    driver.spawn(keep_renewed(
        identity.clone(),
        directory,
        move || renewed_over.borrow().clone(),
        {
            let (driver, identity) = (driver.clone(), identity.clone());
            move || driver.with(|desk, now| desk.set_credential(now, identity.credential()))
        },
    ));
    let seen = Arc::clone(&contact);
    let mut dialers = dial(&driver, &identity, routes, move |route, outcome| {
        seen.send_modify(|contact| contact.on_outcome(route, outcome));
    })
    .map_err(|error| ConnectError::Key(error.to_string()))?;
    dialers.on_routes({
        let driver = driver.clone();
        move |routes| {
            to_renew.replace(routes.to_vec());
            contact.send_modify(|contact| contact.keep_only(routes));
            driver.with(|desk, _| desk.set_link_budgets(routes));
        }
    });
    Ok(driver)
}
