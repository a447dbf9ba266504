//! Mails that the server has accepted while the database has not been told yet. Their events may come again, when the database
//! was away for longer than a lease: then they are not sent again.

use std::collections::{HashMap, HashSet, VecDeque};

use uuid::Uuid;

/// How many events are remembered.
const REMEMBERED: usize = 100_000;

/// Events with the addresses that have their mail.
#[derive(Default)]
pub struct Accepted {
    events: HashMap<Uuid, HashSet<String>>,
    order: VecDeque<Uuid>,
}

impl Accepted {
    /// An address has the mail about an event.
    pub fn remember(&mut self, event: Uuid, address: &str) {
        self.events.entry(event).or_insert_with(|| {
            self.order.push_back(event);
            HashSet::new()
        });
        if let Some(addresses) = self.events.get_mut(&event) {
            addresses.insert(address.to_owned());
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.events.remove(&oldest);
            }
        }
    }

    /// Whether an address has it.
    pub fn has(&self, event: &Uuid, address: &str) -> bool {
        self.events.get(event).is_some_and(|addresses| addresses.contains(address))
    }

    /// The database knows.
    pub fn forget(&mut self, event: &Uuid) {
        if self.events.remove(event).is_some() && self.order.len() > 2 * self.events.len() + 1_000 {
            self.order.retain(|event| self.events.contains_key(event));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_accepted_is_known_until_the_database_knows() {
        let mut accepted = Accepted::default();
        let event = Uuid::from_u128(1);
        accepted.remember(event, "a@b.example");
        assert!(accepted.has(&event, "a@b.example") && !accepted.has(&event, "c@d.example"));
        accepted.forget(&event);
        assert!(!accepted.has(&event, "a@b.example"));
        for number in 0..2 * REMEMBERED as u128 {
            accepted.remember(Uuid::from_u128(number), "a@b.example");
        }
        assert_eq!((accepted.events.len(), accepted.order.len()), (REMEMBERED, REMEMBERED));
        for number in 0..2 * REMEMBERED as u128 {
            accepted.forget(&Uuid::from_u128(number));
        }
        assert!(accepted.events.is_empty() && accepted.order.len() <= 1_000);
    }
}
