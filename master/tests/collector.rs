//! The collector against peers that do not keep to the protocol, over real TCP.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use event_log::control::{LINE_MAX, Order, Report};
use event_log::{SCHEMA, Version};
use master::collector::{Collector, Link, Notice, Roster};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(10);

fn addr() -> SocketAddr {
    SocketAddr::from(([127, 99, 1, 1], 7400))
}

async fn collector() -> Collector {
    let roster = Roster::default();
    roster.expect("n001", addr());
    Collector::listen(SocketAddr::from(([127, 0, 0, 1], 0)), roster).await.expect("a port is free")
}

async fn next(collector: &mut Collector) -> Notice {
    tokio::time::timeout(LIMIT, collector.next()).await.expect("a notice comes")
}

async fn connect(collector: &Collector) -> TcpStream {
    TcpStream::connect(collector.addr()).await.expect("the collector listens")
}

fn hello(name: &str, addr: SocketAddr, schema: Version) -> Vec<u8> {
    line(&Report::Hello { schema, name: name.to_owned(), addr, pid: 1, boot_id: "b".to_owned(), life: 9 })
}

fn line(report: &Report) -> Vec<u8> {
    let mut line = serde_json::to_vec(report).expect("plain data");
    line.push(b'\n');
    line
}

/// A node that was made welcome.
async fn welcome(collector: &mut Collector) -> (TcpStream, Link) {
    let mut stream = connect(collector).await;
    stream.write_all(&hello("n001", addr(), SCHEMA)).await.expect("written");
    let Notice::Hello { name, life, boot_id, link } = next(collector).await else { panic!("it said Hello") };
    assert_eq!((name.as_str(), life, boot_id.as_str()), ("n001", 9, "b"));
    let mut first = String::new();
    let mut reader = BufReader::new(&mut stream);
    tokio::time::timeout(LIMIT, reader.read_line(&mut first)).await.expect("in time").expect("an order");
    assert_eq!(serde_json::from_str::<Order>(&first).expect("an order"), Order::Welcome);
    (stream, link)
}

/// Sends `bytes` as the first thing; returns what the collector complains about and what the peer is told.
async fn offend(collector: &mut Collector, bytes: &[u8]) -> (String, String) {
    let mut stream = connect(collector).await;
    let local = stream.local_addr().expect("it is connected");
    // The collector may close before it has read all.
    let _ = stream.write_all(bytes).await;
    let Notice::Refused { peer, name, reason } = next(collector).await else { panic!("{bytes:?} is an offence") };
    assert_eq!((peer, name), (local, None), "the warning names the peer");
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect("the connection is closed");
    (reason, String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn each_offence_gets_its_reason_and_disturbs_nobody_else() {
    let mut collector = collector().await;
    let (mut node, link) = welcome(&mut collector).await;
    let cases: [(Vec<u8>, &str); 7] = [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "\"GET / HTTP/1.1\\r\", which is no report"),
        (vec![0xff; 100], "which is no report"),
        (b"\xff\xfe\n".to_vec(), "which is no report"),
        (line(&Report::Collected { next: 0 }), "not a Hello"),
        (hello("n002", addr(), SCHEMA), "no node of the name \"n002\" is expected"),
        (hello("n001", SocketAddr::from(([127, 99, 1, 2], 7400)), SCHEMA), "is expected at 127.99.1.1:7400"),
        (hello("n001", addr(), Version { major: 2, minor: 0 }), "speaks schema 2.0"),
    ];
    for (mut bytes, expected) in cases {
        if bytes.last() != Some(&b'\n') {
            bytes.push(b'\n');
        }
        let (reason, answer) = offend(&mut collector, &bytes).await;
        assert!(reason.contains(expected), "{reason:?} should contain {expected:?}");
        assert!(answer.contains("\"reject\""), "the peer is told: {answer:?}");
    }

    // The node that was there before still takes orders and is heard.
    link.send(Order::Heal).expect("it is connected");
    let mut order = String::new();
    BufReader::new(&mut node).read_line(&mut order).await.expect("an order");
    assert_eq!(serde_json::from_str::<Order>(&order).expect("an order"), Order::Heal);
    node.write_all(&line(&Report::Collected { next: 3 })).await.expect("written");
    let notice = next(&mut collector).await;
    assert!(
        matches!(&notice, Notice::Report { name, report: Report::Collected { next: 3 }, .. } if name == "n001"),
        "{notice:?}"
    );
}

#[tokio::test]
async fn a_stranger_may_not_send_a_long_line() {
    let mut collector = collector().await;
    let (reason, _) = offend(&mut collector, &vec![b'x'; 100_000]).await;
    assert!(reason.contains("longer than 4096 bytes"), "{reason}");
}

#[tokio::test]
async fn a_node_that_sends_an_oversized_line_is_disconnected_and_may_come_back() {
    let mut collector = collector().await;
    let (mut node, first) = welcome(&mut collector).await;
    let _ = node.write_all(&vec![b' '; LINE_MAX + 1]).await;
    let Notice::Refused { name, reason, .. } = next(&mut collector).await else { panic!("it is an offence") };
    assert_eq!(name.as_deref(), Some("n001"));
    assert!(reason.contains(&format!("longer than {LINE_MAX} bytes")), "{reason}");
    let Notice::Closed { name, link, .. } = next(&mut collector).await else { panic!("the connection is closed") };
    assert_eq!((name.as_str(), link), ("n001", first.id()));
    assert!(first.send(Order::Heal).is_err(), "there is nobody to take orders");
    let (_node, second) = welcome(&mut collector).await;
    assert_ne!(second.id(), first.id());
}

#[tokio::test]
async fn garbage_after_a_hello_names_the_node() {
    let mut collector = collector().await;
    let (mut node, _link) = welcome(&mut collector).await;
    node.write_all(b"{\"report\":\"gossip\"}\n").await.expect("written");
    let Notice::Refused { name, reason, .. } = next(&mut collector).await else { panic!("it is an offence") };
    assert_eq!(name.as_deref(), Some("n001"));
    assert!(reason.contains("unknown variant `gossip`"), "{reason}");
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_not_kept() {
    let mut collector = collector().await;
    let silent = connect(&collector).await;
    let Notice::Refused { peer, reason, .. } = next(&mut collector).await else { panic!("silence is an offence") };
    assert_eq!(peer, silent.local_addr().expect("it is connected"));
    assert!(reason.contains("no Hello within 5s"), "{reason}");
}

#[tokio::test]
async fn a_node_that_does_not_read_its_orders_is_given_up() {
    let mut collector = collector().await;
    let (_node, link) = welcome(&mut collector).await;
    // Orders that fill the socket and then the queue: at some point no more are taken, and nothing has grown.
    let peers = vec![addr(); 4_000];
    let order = Order::Join { seeds: peers };
    let mut taken = 0;
    while link.send(order.clone()).is_ok() {
        taken += 1;
        assert!(taken < 10_000, "the queue has no bound");
        tokio::task::yield_now().await;
    }
    assert!(taken >= 255, "{taken} orders were taken");
}

#[tokio::test]
async fn hostile_peers_during_an_experiment_leave_warnings_and_nothing_else() {
    let plan = support::plan("[3]", 3, "");
    let out = tempfile::tempdir().expect("a temporary folder");
    let world = support::World::new(support::Quirks::default());
    let (mut conductor, folder) = support::conductor(&plan, &world, out.path()).await;
    let target = conductor.control_addr();
    let attack = tokio::spawn(async move {
        for round in 0..150u32 {
            let mut stream = TcpStream::connect(target).await.expect("the master listens");
            stream.write_all(format!("garbage {round}\n").as_bytes()).await.expect("written");
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    conductor.run_plan().await.expect("the experiment goes on");
    attack.await.expect("the attacker ran to its end");
    conductor.shut_down().await.expect("pretended nodes can be stopped");
    let log = support::read(&folder);
    let warnings = support::warnings(&log);
    assert!(warnings[0].contains("control connection of 127.0.0.1:") && warnings[0].contains("garbage 0"));
    assert!(warnings.len() <= 100, "a stranger cannot fill the log: {}", warnings.len());
    let settled = |line: &&event_log::record::Line| matches!(&line.record.what, event_log::record::What::EventSettled { missing, .. } if missing.is_empty());
    assert_eq!(log.lines.iter().filter(settled).count(), 3);
}
