//! What sending needs of the configuration and of files: templates, sender, mail server. SIGHUP makes it anew.

use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Config;
use crate::failure::Failure;
use crate::message::Sender;
use crate::secret;
use crate::smtp::relay::Relay;
use crate::templates::Templates;

/// All of it, checked.
pub struct Equipment {
    pub templates: Templates,
    pub sender: Sender,
    pub relay: Relay,
}

impl Equipment {
    pub fn load(config: &Config) -> Result<Self, Failure> {
        let password = secret::read("smtp-password", &config.smtp.password_file)?;
        Ok(Self {
            templates: Templates::load(&config.mail)?,
            sender: Sender::new(&config.mail)?,
            relay: Relay::new(&config.smtp, password.as_ref())?,
        })
    }
}

/// The present equipment.
pub struct Shelf(Mutex<Arc<Equipment>>);

impl Shelf {
    pub fn new(equipment: Equipment) -> Self {
        Self(Mutex::new(Arc::new(equipment)))
    }

    pub fn get(&self) -> Arc<Equipment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set(&self, equipment: Equipment) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(equipment);
    }
}
