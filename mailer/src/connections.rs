//! What the configuration says to connect to.

use crate::config::Config;
use crate::database::Database;
use crate::equipment::Equipment;
use crate::failure::Failure;
use crate::secret;
use crate::smtp::fault::Fault;

/// The database of the events.
pub fn database(config: &Config) -> Result<Database, Failure> {
    let config = &config.database;
    let password = secret::read("database-password", &config.password_file)?;
    Database::new(&config.url, password.as_ref(), &config.ca_file, true)
}

/// The database that knows the recipients: that of the events, unless it is another one.
pub fn recipients(config: &Config) -> Result<Database, Failure> {
    if config.recipient.url.is_empty() {
        let password = secret::read("database-password", &config.database.password_file)?;
        return Database::new(&config.database.url, password.as_ref(), &config.database.ca_file, false);
    }
    let password = secret::read("recipient-password", &config.recipient.password_file)?;
    Database::new(&config.recipient.url, password.as_ref(), &config.database.ca_file, false)
        .map_err(|failure| failure.during("[recipient]"))
}

/// Whether the mail server lets this sender in.
pub async fn probe(equipment: &Equipment) -> Result<(), Fault> {
    let mut connection = equipment.relay.open().await?;
    connection.probe(&equipment.sender.return_path).await?;
    connection.quit().await;
    Ok(())
}
