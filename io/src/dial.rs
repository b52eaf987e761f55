//! A node's side: one connection for each link to each relay, kept up, while links come and go.

use crate::dialer::{Dialer, InUse, Observer};
use crate::drive::Driver;
use crate::interface_table::InterfaceTable;
use crate::interfaces::Interfaces;
use crate::keys::Identity;
use crate::link::Link;
use crate::link_plan::{LinkPlan, Presence};
pub use crate::outcome::{DialOutcome, Route};
use crate::socket::Bind;
use crate::tls;
use longrein_proto::base::Name;
use longrein_proto::role::Role;
use quinn_proto::crypto::rustls::QuicClientConfig;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Keeps one connection up on each route until the driver closes; `observe` hears what becomes of them. A route that is bound to a
/// pattern stands for one on each interface that matches.
///
/// # Errors
/// When the identity's key cannot sign.
pub fn dial<R: Role + 'static>(
    driver: &Driver<R>,
    identity: &Identity,
    routes: Vec<Route>,
    observe: impl FnMut(&Route, &DialOutcome) + 'static,
) -> Result<Dialers<R>, rustls::Error> {
    let watch = Interfaces::watch();
    let is_bound = |route: &Route| !matches!(route.bind, Bind::Any | Bind::Address(_));
    if let Err(error) = &watch
        && routes.iter().any(is_bound)
    {
        tracing::warn!(%error, "interfaces cannot be watched: patterns match none, and what goes is found out by silence");
    }
    let watch = watch.ok();
    let kept = KeptRoutes {
        driver: driver.clone(),
        identity: identity.clone(),
        observe: Rc::new(RefCell::new(observe)),
        table: watch.as_ref().map(|watch| watch.table().clone()),
        plan: LinkPlan::default(),
        links: BTreeMap::new(),
        kept: Vec::new(),
    };
    let mut dialers = Dialers {
        kept: Rc::new(RefCell::new(kept)),
        on_routes: Rc::new(RefCell::new(Box::new(|_| ()))),
    };
    dialers.set_routes(identity, routes)?;
    if let Some(watch) = watch {
        driver.spawn(dialers.clone().follow(watch));
    }
    Ok(dialers)
}

/// These routes, patterns replaced by the interfaces that match them now; must be called within [`crate::runtime::run`].
pub fn matched(routes: Vec<Route>) -> Vec<Route> {
    let Ok(watch) = Interfaces::watch() else {
        return routes;
    };
    let mut plan = LinkPlan::default();
    plan.configure(routes);
    // Whoever looks hears of those that were left out from the program that runs.
    let _ = plan.look(watch.table());
    plan.routes()
}

/// The routes of a node on which connections are kept up. Dropping this changes nothing.
pub struct Dialers<R: Role> {
    kept: Rc<RefCell<KeptRoutes<R>>>,
    on_routes: Rc<RefCell<RoutesHook>>,
}

type RoutesHook = Box<dyn FnMut(&[Route])>;

impl<R: Role + 'static> Dialers<R> {
    /// From now on these are the routes. What was there before stays as it is, with its connections; routes that are not among
    /// these lose them. Tells how many began and how many ended.
    ///
    /// # Errors
    /// When the identity's key cannot sign; nothing has changed then.
    pub fn set_routes(
        &mut self,
        identity: &Identity,
        routes: Vec<Route>,
    ) -> Result<(usize, usize), rustls::Error> {
        let counts = self.kept.borrow_mut().configure(identity, routes)?;
        self.tell_routes();
        Ok(counts)
    }

    /// Has `hook` called with the routes as they are, patterns replaced by the interfaces that match: now, and whenever they change.
    pub fn on_routes(&mut self, hook: impl FnMut(&[Route]) + 'static) {
        *self.on_routes.borrow_mut() = Box::new(hook);
        self.tell_routes();
    }

    /// Bytes that each link carried so far, both ways, with all overhead of QUIC, UDP and IP.
    pub fn wire_bytes(&self) -> Vec<(Name, u64)> {
        let kept = self.kept.borrow();
        let total = |(name, link): (&Name, &Rc<Link>)| (name.clone(), link.wire.total());
        kept.links.iter().map(total).collect()
    }

    fn tell_routes(&self) {
        let routes = self.kept.borrow().plan.routes();
        (self.on_routes.borrow_mut())(&routes);
    }

    /// Has the links follow the interfaces.
    async fn follow(self, mut watch: Interfaces) {
        let mut hoped = None;
        let error = loop {
            let news = match watch.changed().await {
                Ok(news) => news,
                Err(error) => break error,
            };
            if news.interfaces {
                self.look(Some(watch.table()));
            }
            let is_soon = hoped.is_some_and(|hoped: Instant| hoped.elapsed() < HOPES_APART);
            if news.other && !is_soon {
                hoped = Some(Instant::now());
                self.kept.borrow().hope();
            }
        };
        tracing::error!(%error, "interfaces are watched no more: what goes is found out by silence");
        self.look(None);
    }

    fn look(&self, table: Option<&InterfaceTable>) {
        let changed = self.kept.borrow_mut().look(table);
        if changed {
            self.tell_routes();
        }
    }
}

impl<R: Role> Clone for Dialers<R> {
    fn clone(&self) -> Self {
        Dialers {
            kept: Rc::clone(&self.kept),
            on_routes: Rc::clone(&self.on_routes),
        }
    }
}

impl<R: Role> fmt::Debug for Dialers<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialers").finish_non_exhaustive()
    }
}

struct KeptRoutes<R: Role> {
    driver: Driver<R>,
    identity: Identity,
    observe: Rc<RefCell<Observer>>,
    /// The machine's interfaces; none when nobody watches them.
    table: Option<InterfaceTable>,
    plan: LinkPlan,
    links: BTreeMap<Name, Rc<Link>>,
    kept: Vec<Kept>,
}

/// A route that has a dialer.
struct Kept {
    route: Route,
    /// Its connection in use.
    path: Rc<Cell<Option<InUse>>>,
    /// Told when the route is no more.
    dismissed: Rc<Notify>,
}

impl<R: Role + 'static> KeptRoutes<R> {
    fn configure(
        &mut self,
        identity: &Identity,
        routes: Vec<Route>,
    ) -> Result<(usize, usize), rustls::Error> {
        // A key that cannot sign is found out before anything changes.
        for route in &routes {
            tls::client(identity, &route.relay)?;
        }
        self.identity = identity.clone();
        self.plan.configure(routes);
        self.follow_plan()
    }

    /// Takes the interfaces as they are now; whether that changed the routes.
    fn look(&mut self, table: Option<&InterfaceTable>) -> bool {
        self.table = table.cloned();
        match self.follow_plan() {
            Ok((begun, ended)) => begun + ended > 0,
            Err(error) => {
                tracing::error!(%error, "the private key cannot sign: new interfaces are not used");
                false
            }
        }
    }

    fn follow_plan(&mut self) -> Result<(usize, usize), rustls::Error> {
        if let Some(table) = &self.table {
            for (link, interface) in self.plan.look(table) {
                tracing::warn!(%link, interface, "interface is left out: the link has `count_max` others, or one of this name");
            }
        }
        let routes = self.plan.routes();
        self.note_presence(&routes);
        let counts = self.keep_only(&routes)?;
        self.drop_stranded();
        Ok(counts)
    }

    /// Tells the links of these routes whether packets can leave by them.
    fn note_presence(&mut self, routes: &[Route]) {
        let names: BTreeSet<&Name> = routes.iter().map(|route| &route.link).collect();
        self.links.retain(|name, _| names.contains(name));
        for route in routes {
            let presence = Presence::of(&route.bind, self.table.as_ref());
            let link = self.links.entry(route.link.clone());
            link.or_insert_with(|| Rc::new(Link::new(route.link.clone())))
                .set_presence(presence);
        }
    }

    /// Ends the routes that are not among these, and begins those that are new.
    fn keep_only(&mut self, routes: &[Route]) -> Result<(usize, usize), rustls::Error> {
        let is_new = |route: &&Route| !self.kept.iter().any(|kept| kept.route.leads_as(route));
        let begun = routes
            .iter()
            .filter(is_new)
            .map(|route| Ok((route.clone(), tls::client(&self.identity, &route.relay)?)))
            .collect::<Result<Vec<_>, rustls::Error>>()?;
        let goes_on = |kept: &Kept| routes.iter().any(|route| route.leads_as(&kept.route));
        let (kept, ended): (Vec<_>, Vec<_>) = std::mem::take(&mut self.kept)
            .into_iter()
            .partition(goes_on);
        self.kept = kept;
        for kept in &ended {
            kept.dismissed.notify_one();
            let presence = Presence::of(&kept.route.bind, self.table.as_ref());
            self.lose_if_stranded(kept, &presence);
            if let Some(in_use) = kept.path.take() {
                self.driver.hang_up(in_use.path);
            }
        }
        let counts = (begun.len(), ended.len());
        for (route, config) in begun {
            self.keep(route, config);
        }
        Ok(counts)
    }

    fn keep(&mut self, route: Route, config: Arc<QuicClientConfig>) {
        let Some(link) = self.links.get(&route.link).map(Rc::clone) else {
            return;
        };
        let kept = Kept {
            route: route.clone(),
            path: Rc::default(),
            dismissed: Rc::default(),
        };
        let dialer = Dialer::new(
            &self.driver,
            (self.identity.fleet(), config),
            (route, link),
            Rc::clone(&kept.path),
            Rc::clone(&self.observe),
        );
        let dismissed = Rc::clone(&kept.dismissed);
        self.driver.spawn(async move {
            tokio::select! {
                biased;
                () = dismissed.notified() => {}
                () = dialer.keep_up() => {}
            }
        });
        self.kept.push(kept);
    }

    /// Ends the connections that have nothing to leave by any more.
    fn drop_stranded(&self) {
        for kept in &self.kept {
            if let Some(link) = self.links.get(&kept.route.link) {
                self.lose_if_stranded(kept, &link.presence());
            }
        }
    }

    /// Ends a route's connection if its interface or address is gone: it would stay silent whatever the network does.
    fn lose_if_stranded(&self, kept: &Kept, presence: &Presence) {
        if let Some(InUse { path, interface }) = kept.path.get()
            && let Some(path) = self.driver.path(path)
            && !presence.carries(interface, path.local().ip())
        {
            path.lose();
        }
    }

    /// Has those who wait for a link try again.
    fn hope(&self) {
        for link in self.links.values() {
            link.hope.notify_waiters();
        }
    }
}

/// Between two hopes: some machines have news of routes all the time.
const HOPES_APART: Duration = Duration::from_secs(5);
