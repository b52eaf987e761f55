//! Who watches which document.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::limits::DOCUMENT_WATCHES_PER_CLIENT_MAX;
use crate::wire::hub::{HubRefusal, Owner, Section};

type Place = (Owner, Section);

/// Who watches which document, by both.
#[derive(Debug)]
pub(super) struct Watches<C> {
    of_client: BTreeMap<C, BTreeMap<u32, Place>>,
    of_place: BTreeMap<Place, BTreeSet<(C, u32)>>,
}

impl<C: Clone + Ord> Watches<C> {
    pub(super) fn new() -> Watches<C> {
        Watches {
            of_client: BTreeMap::new(),
            of_place: BTreeMap::new(),
        }
    }

    /// A client watches a place by its number for it, if it does not yet.
    pub(super) fn add(&mut self, client: C, watch: u32, place: Place) -> Result<(), HubRefusal> {
        let own = self.of_client.get(&client);
        match own.and_then(|own| own.get(&watch)) {
            Some(watched) if *watched == place => return Ok(()),
            Some(_) => return Err(HubRefusal::Malformed),
            None => {}
        }
        if own.is_some_and(|own| own.len() >= DOCUMENT_WATCHES_PER_CLIENT_MAX) {
            return Err(HubRefusal::Full);
        }
        let of_place = self.of_place.entry(place.clone()).or_default();
        of_place.insert((client.clone(), watch));
        let own = self.of_client.entry(client).or_default();
        own.insert(watch, place);
        Ok(())
    }

    /// A client watches nothing by this number any more. Says whether it did.
    pub(super) fn remove(&mut self, client: &C, watch: u32) -> bool {
        let Some(own) = self.of_client.get_mut(client) else {
            return false;
        };
        let Some(place) = own.remove(&watch) else {
            return false;
        };
        if own.is_empty() {
            self.of_client.remove(client);
        }
        self.forget(client, watch, &place);
        true
    }

    /// Whether a client watches something by this number.
    pub(super) fn has(&self, client: &C, watch: u32) -> bool {
        let own = self.of_client.get(client);
        own.is_some_and(|own| own.contains_key(&watch))
    }

    /// A client watches nothing any more.
    pub(super) fn on_client_gone(&mut self, client: &C) {
        for (watch, place) in self.of_client.remove(client).into_iter().flatten() {
            self.forget(client, watch, &place);
        }
    }

    /// Who watches a place, and by which number.
    pub(super) fn of(&self, place: Place) -> impl Iterator<Item = (&C, u32)> {
        let watchers = self.of_place.get(&place).into_iter().flatten();
        watchers.map(|(client, watch)| (client, *watch))
    }

    fn forget(&mut self, client: &C, watch: u32, place: &Place) {
        if let Some(watchers) = self.of_place.get_mut(place) {
            watchers.remove(&(client.clone(), watch));
            if watchers.is_empty() {
                self.of_place.remove(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(room: &str) -> Place {
        (Owner::Room(room.parse().unwrap()), Section::Attributes)
    }

    fn watchers(watches: &Watches<u8>, room: &str) -> Vec<(u8, u32)> {
        watches.of(place(room)).map(|(c, w)| (*c, w)).collect()
    }

    #[test]
    fn who_watches_a_document_is_told_by_its_own_number_until_it_goes() {
        let mut watches = Watches::new();
        for (client, watch, room) in [
            (1, 7, "yard"),
            (2, 7, "yard"),
            (1, 8, "yard"),
            (1, 9, "pit"),
        ] {
            assert_eq!(watches.add(client, watch, place(room)), Ok(()));
        }
        assert_eq!(watchers(&watches, "yard"), [(1, 7), (1, 8), (2, 7)]);
        assert!(watches.remove(&1, 7));
        assert!(!watches.remove(&1, 7));
        assert!(!watches.remove(&3, 7));
        assert_eq!(watchers(&watches, "yard"), [(1, 8), (2, 7)]);
        watches.on_client_gone(&1);
        assert_eq!(watchers(&watches, "yard"), [(2, 7)]);
        assert_eq!(watchers(&watches, "pit"), []);
        assert!(watches.remove(&2, 7));
        assert!(watches.of_client.is_empty() && watches.of_place.is_empty());
    }

    #[test]
    fn a_number_names_one_document() {
        let mut watches = Watches::new();
        assert_eq!(watches.add(1, 7, place("yard")), Ok(()));
        assert_eq!(watches.add(1, 7, place("yard")), Ok(()));
        let other = watches.add(1, 7, place("pit"));
        assert_eq!(other, Err(HubRefusal::Malformed));
        assert_eq!(watchers(&watches, "yard"), [(1, 7)]);
        assert_eq!(watchers(&watches, "pit"), []);
    }

    #[test]
    fn a_client_watches_so_many_and_no_more() {
        let mut watches = Watches::new();
        for watch in 0..DOCUMENT_WATCHES_PER_CLIENT_MAX as u32 {
            assert_eq!(watches.add(1, watch, place("yard")), Ok(()));
        }
        let full = Err(HubRefusal::Full);
        assert_eq!(watches.add(1, 999, place("yard")), full);
        assert_eq!(watches.add(2, 999, place("yard")), Ok(()));
        assert!(watches.remove(&1, 0));
        assert_eq!(watches.add(1, 999, place("yard")), Ok(()));
    }
}
