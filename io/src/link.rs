//! What the dialers of one link know of it and tell each other.

use crate::clock;
use crate::damper::Damper;
use crate::link_plan::{Absence, Presence};
use crate::socket::SocketError;
use crate::sparse::Sparse;
use crate::wire_bytes::WireBytes;
use longrein_proto::base::{MonoTime, Name};
use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;
use tokio::sync::Notify;

/// One link.
pub(crate) struct Link {
    name: Name,
    /// Told when something says that the link may work again: another path of it does, or the machine's routes changed.
    pub(crate) hope: Notify,
    /// Told when packets can leave by it again, cannot any more, or leave from elsewhere.
    pub(crate) moved: Notify,
    presence: RefCell<Presence>,
    usable_from: Cell<MonoTime>,
    damper: RefCell<Damper>,
    lines: RefCell<Sparse>,
    /// Connections over it that work as far as is known.
    up: Cell<usize>,
    /// What its sockets carried.
    pub(crate) wire: Rc<WireBytes>,
}

impl Link {
    pub(crate) fn new(name: Name) -> Link {
        Link {
            name,
            hope: Notify::new(),
            moved: Notify::new(),
            presence: RefCell::new(Presence::Unknown),
            usable_from: Cell::default(),
            damper: RefCell::default(),
            lines: RefCell::default(),
            up: Cell::new(0),
            wire: Rc::default(),
        }
    }

    /// Whether packets can leave by it now.
    pub(crate) fn presence(&self) -> Ref<'_, Presence> {
        self.presence.borrow()
    }

    /// When it may be used, if packets can leave by it now.
    pub(crate) fn usable_from(&self) -> Result<MonoTime, Absence> {
        match &*self.presence.borrow() {
            Presence::Away(why) => Err(why.clone()),
            Presence::Unknown | Presence::Here { .. } => Ok(self.usable_from.get()),
        }
    }

    /// Takes what is known of it now; whether that is news for whoever uses it. A further address is none.
    pub(crate) fn set_presence(&self, new: Presence) -> bool {
        let old = self.presence.replace(new);
        let new = self.presence.borrow();
        let is_news = match (&old, &*new) {
            (
                Presence::Here { index, addresses },
                Presence::Here {
                    index: new_index,
                    addresses: new_addresses,
                },
            ) => index != new_index || !new_addresses.is_superset(addresses),
            (old, new) => old != new,
        };
        if !is_news {
            if old != *new {
                self.hope.notify_waiters();
            }
            return false;
        }
        if let Presence::Here { .. } = *new {
            let from = self.damper.borrow_mut().on_come(clock::now());
            self.usable_from.set(from);
        }
        self.log(&new);
        drop(new);
        self.moved.notify_waiters();
        true
    }

    /// Each change, of a link that comes and goes all the time a few.
    fn log(&self, presence: &Presence) {
        let unsaid = if self.damper.borrow().is_at_work() {
            self.lines.borrow_mut().allow(clock::now())
        } else {
            Some(0)
        };
        let Some(unsaid) = unsaid else { return };
        let link = &self.name;
        match presence {
            Presence::Unknown => {}
            Presence::Away(why) => {
                let why = SocketError::from(why);
                tracing::warn!(%link, %why, unsaid, "link is away");
            }
            Presence::Here { addresses, .. } => {
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                tracing::info!(%link, addresses = addresses.join(","), unsaid, "link is there");
            }
        }
    }

    /// Connections over it that work as far as is known.
    pub(crate) fn up(&self) -> usize {
        self.up.get()
    }
}

/// Counts a connection of a link as up while it lives.
pub(crate) struct Up(Rc<Link>);

impl Up {
    pub(crate) fn new(link: &Rc<Link>) -> Up {
        link.up.update(|up| up + 1);
        Up(Rc::clone(link))
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.0.up.update(|up| up - 1);
    }
}
