//! The `ip` program: links, addresses and namespaces are its business.

use std::io;
use std::process::{Output, Stdio};

use tokio::process::Command;

use super::BackendError;

/// Runs `ip` with these arguments.
///
/// # Errors
/// With what it said, when it failed or is not installed.
pub async fn ip(arguments: &[&str]) -> Result<String, BackendError> {
    let what = || format!("ip {}", arguments.join(" "));
    match output(arguments).await {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let hint = if said.contains("not permitted") { " (this needs root)" } else { "" };
            Err(BackendError::new(what(), format!("{said}{hint}")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(BackendError::new(what(), "ip is not installed (on Debian: apt-get install iproute2)"))
        }
        Err(error) => Err(BackendError::new(what(), error)),
    }
}

async fn output(arguments: &[&str]) -> io::Result<Output> {
    let mut command = Command::new("ip");
    // In a process group of its own: a Ctrl-C must not end it half way. Not waited for means not wanted any more.
    command.args(arguments).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    command.output().await
}

/// True when there is an `ip` program.
pub async fn is_installed() -> bool {
    output(&["-V"]).await.is_ok_and(|output| output.status.success())
}

/// True when a network interface of this name exists.
#[must_use]
pub fn link_exists(name: &str) -> bool {
    std::path::Path::new("/sys/class/net").join(name).exists()
}

/// The alias of interfaces that this program made, so that it removes no other.
const MARK: &str = "hearsay";

/// True when an interface of this name exists and is one of ours.
fn is_ours(name: &str) -> bool {
    std::fs::read_to_string(format!("/sys/class/net/{name}/ifalias")).is_ok_and(|alias| alias.trim() == MARK)
}

/// Makes a pair of interfaces whose ends are wired to each other, both up. One end is a parent for macvlan interfaces,
/// the other is where whatever leaves them comes out.
///
/// # Errors
/// [`BackendError`].
pub async fn make_pair(one: &str, other: &str) -> Result<(), BackendError> {
    for name in [one, other] {
        if link_exists(name) {
            let why =
                "there is one already, which somebody else made: rename it, or give another --instance or --parent";
            return Err(BackendError::new(format!("make the network interface {name}"), why));
        }
    }
    ip(&["link", "add", one, "type", "veth", "peer", "name", other]).await?;
    ip(&["link", "set", one, "alias", MARK]).await?;
    ip(&["link", "set", other, "alias", MARK]).await?;
    ip(&["link", "set", one, "up"]).await?;
    ip(&["link", "set", other, "up"]).await?;
    Ok(())
}

/// Removes a network interface that [`make_pair`] made; true when it was there. Somebody else's stays.
///
/// # Errors
/// [`BackendError`].
pub async fn remove_link(name: &str) -> Result<bool, BackendError> {
    if !is_ours(name) {
        return Ok(false);
    }
    ip(&["link", "del", name]).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_interface_that_somebody_else_made_stays() {
        let (one, other) = (format!("hst{}a", std::process::id()), format!("hst{}b", std::process::id()));
        if let Err(error) = ip(&["link", "add", &one, "type", "veth", "peer", "name", &other]).await {
            eprintln!("skipped: no interface can be made here: {error}");
            return;
        }
        assert!(!remove_link(&one).await.unwrap(), "it is not ours");
        assert!(link_exists(&one));
        let error = make_pair(&one, &other).await.unwrap_err().to_string();
        assert!(error.contains(&one) && error.contains("--instance"), "{error}");
        ip(&["link", "del", &one]).await.unwrap();

        make_pair(&one, &other).await.unwrap();
        assert!(remove_link(&other).await.unwrap(), "it is ours, at either end");
        assert!(!link_exists(&one));
    }
}
