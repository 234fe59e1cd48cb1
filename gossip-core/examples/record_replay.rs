//! Records what a node is given, writes it to a file, and plays it back into a fresh node: the same datagrams come out.
//!
//! ```sh
//! cargo run -p gossip-core --features typed --example record_replay
//! ```

use std::error::Error;

use gossip_core::{Command, Config, Input, Instant, Node, Setup, typed};

fn fresh() -> Node<u16> {
    Node::new(Instant::ZERO, Config::lan(), &Setup { seed: 7, ..Setup::new(1) }).expect("a valid preset")
}

/// Gives a node an input and appends what it wants to send to `sent`.
fn give(node: &mut Node<u16>, now: Instant, input: Input<'_, u16>, sent: &mut Vec<u8>) {
    let _ = node.handle(now, input);
    let mut buffer = [0; 1400];
    while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
        sent.extend_from_slice(&buffer[..transmit.len]);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // A live node: it joins, starts an event, and lives through ten seconds in which nobody answers.
    let (mut node, mut sent, mut recording) = (fresh(), Vec::new(), Vec::new());
    let mut live = |now, input: Input<'_, u16>| -> Result<(), typed::TypedError> {
        typed::record(&mut recording, now, &input)?;
        give(&mut node, now, input, &mut sent);
        Ok(())
    };
    live(Instant::from_millis(1), Input::Command(Command::Join { seeds: &[2, 3] }))?;
    live(Instant::from_millis(2), Input::Command(Command::event(b"for the record")))?;
    for now in (10..10_000).step_by(10) {
        live(Instant::from_millis(now), Input::Timeout)?;
    }

    let path = std::env::temp_dir().join(format!("recording-{}.v1.bin", std::process::id()));
    std::fs::write(&path, &recording)?;
    println!("{} bytes of input recorded in {}", recording.len(), path.display());

    let (mut again, mut resent) = (fresh(), Vec::new());
    typed::replay(&std::fs::read(&path)?, |now, input| give(&mut again, now, input, &mut resent))?;
    std::fs::remove_file(&path)?;
    assert_eq!(sent, resent, "the same inputs give the same datagrams");
    println!("{} bytes of datagrams came out, the same both times", sent.len());
    Ok(())
}
