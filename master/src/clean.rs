//! Finding and removing what a killed master left behind.

use crate::backend::process::StateFolder;
use crate::backend::{BackendError, Instance, docker, ip, netns};

/// What was found and removed, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers(pub Vec<String>);

impl Leftovers {
    /// Notes `count` things called `what`, unless there were none.
    pub fn add(&mut self, count: usize, what: &str) {
        match count {
            0 => {}
            1 => self.0.push(format!("1 {what}")),
            _ if what.ends_with('s') => self.0.push(format!("{count} {what}es")),
            _ => self.0.push(format!("{count} {what}s")),
        }
    }
}

impl std::fmt::Display for Leftovers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { f.write_str("nothing") } else { f.write_str(&self.0.join(", ")) }
    }
}

/// Removes the leftovers of all backends. `state` proves that no master of this instance is at work.
///
/// Processes and namespaces come first: they need nothing but this machine. Then the engine's, if one answers.
///
/// # Errors
/// The first thing that could not be removed.
pub async fn sweep(instance: &Instance, state: &StateFolder) -> Result<Leftovers, BackendError> {
    let mut found = Leftovers::default();
    found.add(state.sweep()?.len(), "node process");
    netns::sweep(instance, &mut found).await?;
    docker::sweep(instance, &mut found).await?;
    found.add(usize::from(ip::remove_link(&instance.interface(docker::PARENT)).await?), "pair of network interfaces");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_said_in_words() {
        let mut found = Leftovers::default();
        assert_eq!(found.to_string(), "nothing");
        found.add(0, "container");
        found.add(1, "network");
        found.add(3, "node process");
        assert_eq!(found.to_string(), "1 network, 3 node processes");
    }
}
