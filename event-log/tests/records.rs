//! Records, orders and reports: nothing is lost on the way through JSON, whatever the values.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use event_log::control::{Impairment, Order, Report};
use event_log::plan::RunKey;
use event_log::record::{EventKey, FaultCounts, Line, MemberState, Record, Via, What};
use event_log::{SCHEMA, Version};
use netem::spec::{Delay, Direction, Distribution, DropNext, Loss, Probability, Sleep, Span};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// The highest number that [`kind`] gives; [`of_kind`] makes records of each.
const KIND_MAX: usize = 17;

/// The number of a record's kind. Without a catch-all arm: a new kind does not compile until it is tested here.
fn kind(what: &What) -> usize {
    match what {
        What::RunStarted { .. } => 0,
        What::Converged { .. } => 1,
        What::FaultOrdered { .. } => 2,
        What::NodeAdded { .. } => 3,
        What::NodeKilled { .. } => 4,
        What::ClockOffset { .. } => 5,
        What::EventSettled { .. } => 6,
        What::RunEnded { .. } => 7,
        What::Warning { .. } => 8,
        What::NodeStarted { .. } => 9,
        What::NodeStopped => 10,
        What::EventStarted { .. } => 11,
        What::EventLearnt { .. } => 12,
        What::MemberChanged { .. } => 13,
        What::FaultApplied { .. } => 14,
        What::Traffic { .. } => 15,
        What::Faults(_) => 16,
        What::Counters { .. } => 17,
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9 ]{0,12}", "\\PC{0,8}", Just("\"quotes\" \\ and a\nnewline\u{0}".to_owned())]
}

fn addr() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from(bits))),
        any::<u128>().prop_map(|bits| IpAddr::from(Ipv6Addr::from(bits))),
    ];
    (ip, any::<u16>()).prop_map(SocketAddr::from)
}

/// All of u64, and often its upper end: beyond 2⁵³ a reader that went through floating point would be wrong.
fn count() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), (0_u64..100).prop_map(|below| u64::MAX - below), Just((1 << 53) + 1)]
}

/// Any finite number.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("JSON has no infinities", |x| x.is_finite()),
        0.0..1e18,
        Just(0.1 + 0.2),
        Just(3.0)
    ]
}

fn event() -> impl Strategy<Value = EventKey> {
    (addr(), count()).prop_map(|(origin, sequence)| EventKey::new(origin, sequence))
}

fn fault_counts() -> impl Strategy<Value = FaultCounts> {
    (proptest::array::uniform9(count()), proptest::array::uniform4(number())).prop_map(|(n, x)| FaultCounts {
        judged_out: n[0],
        judged_in: n[1],
        loss_trials: n[2],
        loss_expected: x[0],
        loss_dropped: n[3],
        next_dropped: n[4],
        sleep_dropped: n[5],
        partition_dropped: n[6],
        queue_dropped: n[7],
        delayed: n[8],
        delay_sum_ns: x[1],
        delay_square_sum_ns2: x[2],
        delay_late_sum_ns: x[3],
    })
}

fn of_kind(kind: usize) -> BoxedStrategy<What> {
    let small = any::<u32>;
    match kind {
        0 => (small(), text(), vec(text(), 0..3))
            .prop_map(|(size, setting, faults)| What::RunStarted { key: RunKey { size, setting }, faults })
            .boxed(),
        1 => (small(), count(), small())
            .prop_map(|(size, took_ns, joined)| What::Converged { size, took_ns, joined })
            .boxed(),
        2 => (small(), text(), text())
            .prop_map(|(fault, text, target)| What::FaultOrdered { fault, text, target })
            .boxed(),
        3 => (text(), addr()).prop_map(|(name, addr)| What::NodeAdded { name, addr }).boxed(),
        4 => text().prop_map(|name| What::NodeKilled { name }).boxed(),
        5 => (text(), any::<i64>(), count())
            .prop_map(|(name, offset_ns, error_ns)| What::ClockOffset { name, offset_ns, error_ns })
            .boxed(),
        6 => (event(), small(), small(), vec(text(), 0..3))
            .prop_map(|(event, expected, informed, missing)| What::EventSettled { event, expected, informed, missing })
            .boxed(),
        7 => any::<bool>().prop_map(|complete| What::RunEnded { complete }).boxed(),
        8 => text().prop_map(|text| What::Warning { text }).boxed(),
        9 => (addr(), text(), count())
            .prop_map(|(addr, version, bytes)| What::NodeStarted { addr, version, receive_buffer_bytes: bytes })
            .boxed(),
        10 => Just(What::NodeStopped).boxed(),
        11 => (event(), small(), small())
            .prop_map(|(event, index, payload_bytes)| What::EventStarted { event, index, payload_bytes })
            .boxed(),
        12 => (event(), small(), addr(), via())
            .prop_map(|(event, hops, from, via)| What::EventLearnt { event, hops, from, via })
            .boxed(),
        13 => (addr(), state(), small(), proptest::option::of(addr()))
            .prop_map(|(member, state, incarnation, from)| What::MemberChanged { member, state, incarnation, from })
            .boxed(),
        14 => (small(), any::<bool>()).prop_map(|(fault, active)| What::FaultApplied { fault, active }).boxed(),
        15 => proptest::array::uniform7(count())
            .prop_map(|n| What::Traffic {
                datagrams_sent: n[0],
                bytes_sent: n[1],
                datagrams_received: n[2],
                bytes_received: n[3],
                receive_buffer_overflows: n[4],
                cpu_ns: Some(n[5]),
                resident_bytes: Some(n[6]),
            })
            .boxed(),
        16 => fault_counts().prop_map(What::Faults).boxed(),
        17 => btree_map(text(), count(), 0..4).prop_map(|counts| What::Counters { counts }).boxed(),
        other => unreachable!("kinds are numbered to {KIND_MAX}, not to {other}"),
    }
}

fn via() -> impl Strategy<Value = Via> {
    prop_oneof![Just(Via::Push), Just(Via::Pull), Just(Via::Probe), Just(Via::Sync), Just(Via::Message)]
}

fn state() -> impl Strategy<Value = MemberState> {
    prop_oneof![
        Just(MemberState::Alive),
        Just(MemberState::Suspect),
        Just(MemberState::Dead),
        Just(MemberState::Left),
        Just(MemberState::Forgotten),
    ]
}

fn record(kind: usize) -> impl Strategy<Value = Record> {
    (count(), count(), of_kind(kind)).prop_map(|(number, at_ns, what)| Record { number, at_ns, what })
}

fn span() -> impl Strategy<Value = Span> {
    (0..=86_400_000_000_000_u64)
        .prop_map(|nanos| Span::new(core::time::Duration::from_nanos(nanos)).expect("within a day"))
}

fn impairment() -> impl Strategy<Value = Impairment> {
    let direction = || prop_oneof![Just(Direction::In), Just(Direction::Out)];
    let distribution = prop_oneof![Just(Distribution::Fixed), Just(Distribution::Uniform), Just(Distribution::Normal)];
    prop_oneof![
        (0.0..=1.0, direction()).prop_map(|(p, direction)| {
            Impairment::Loss(Loss { probability: Probability::new(p).expect("within 0..=1"), direction })
        }),
        (span(), span(), distribution, direction()).prop_map(|(mean, jitter, distribution, direction)| {
            Impairment::Delay(Delay { mean, jitter, distribution, direction })
        }),
        (any::<u32>(), direction()).prop_map(|(count, direction)| Impairment::DropNext(DropNext { count, direction })),
        span().prop_map(|duration| Impairment::Sleep(Sleep { duration })),
        (vec(addr(), 0..4), span()).prop_map(|(peers, duration)| Impairment::Block { peers, duration }),
    ]
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        Just(Order::Welcome),
        text().prop_map(|reason| Order::Reject { reason }),
        vec(addr(), 0..4).prop_map(|seeds| Order::Join { seeds }),
        (any::<u32>(), any::<u32>()).prop_map(|(index, payload_bytes)| Order::StartEvent { index, payload_bytes }),
        (any::<u32>(), impairment()).prop_map(|(fault, impairment)| Order::Impair { fault, impairment }),
        Just(Order::Heal),
        Just(Order::Leave),
        count().prop_map(|acknowledged| Order::Collect { acknowledged }),
        any::<bool>().prop_map(|list| Order::View { list }),
        count().prop_map(|sent_ns| Order::ReadClock { sent_ns }),
        Just(Order::Stop),
    ]
}

fn report() -> impl Strategy<Value = Report> {
    prop_oneof![
        (text(), addr(), any::<u32>(), text(), count()).prop_map(|(name, addr, pid, boot_id, life)| Report::Hello {
            schema: SCHEMA,
            name,
            addr,
            pid,
            boot_id,
            life
        }),
        (0..=KIND_MAX).prop_flat_map(record).prop_map(|record| Report::Record { record }),
        count().prop_map(|next| Report::Collected { next }),
        (any::<u32>(), vec(addr(), 0..4)).prop_map(|(alive, members)| Report::View { alive, members }),
        (count(), count()).prop_map(|(sent_ns, clock_ns)| Report::Clock { sent_ns, clock_ns }),
        text().prop_map(|reason| Report::Refused { reason }),
    ]
}

/// Writes and reads; the text must be one line.
fn through_json<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> (String, T) {
    let json = serde_json::to_string(value).expect("plain data can be written");
    assert!(!json.contains('\n'), "more than one line: {json}");
    let again = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    (json, again)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_line_of_every_kind_survives_json(
        records in (0..=KIND_MAX).map(record).collect::<Vec<_>>(),
        run in any::<u32>(),
        node in text(),
    ) {
        for (expected, record) in records.into_iter().enumerate() {
            prop_assert_eq!(kind(&record.what), expected);
            let line = Line { run, node: node.clone(), record };
            let (json, again) = through_json(&line);
            prop_assert_eq!(again, line, "{}", json);
        }
    }

    #[test]
    fn orders_survive_json(order in order()) {
        let (json, again) = through_json(&order);
        prop_assert_eq!(again, order, "{}", json);
    }

    #[test]
    fn reports_survive_json(report in report()) {
        let (json, again) = through_json(&report);
        prop_assert_eq!(again, report, "{}", json);
    }

    #[test]
    fn garbage_is_an_error_and_no_panic(bytes in vec(any::<u8>(), 0..200), text in "[\\[\\]{}\":,a-z0-9_]{0,80}") {
        prop_assert!(serde_json::from_slice::<Report>(&bytes).is_err());
        let _ = serde_json::from_str::<Order>(&text);
        let _ = serde_json::from_str::<Line>(&text);
    }
}

/// The form of the file, pinned: a change here is a change of the schema's version.
#[test]
fn records_look_like_this() {
    let line = |number, what| Line { run: 1, node: "n001".into(), record: Record { number, at_ns: u64::MAX, what } };
    let from = "10.77.0.2:7400".parse().expect("an address");
    let learnt = What::EventLearnt { event: EventKey::new(from, 3), hops: 2, from, via: Via::Pull };
    let changed = |from| What::MemberChanged {
        member: "[::1]:7400".parse().expect("an address"),
        state: MemberState::Suspect,
        incarnation: 4,
        from,
    };
    for (line, expected) in [
        (
            line(7, learnt),
            r#"{"run":1,"node":"n001","number":7,"at_ns":18446744073709551615,"what":"event_learnt","event":"10.77.0.2:7400#3","hops":2,"from":"10.77.0.2:7400","via":"pull"}"#,
        ),
        (
            line(8, changed(None)),
            r#"{"run":1,"node":"n001","number":8,"at_ns":18446744073709551615,"what":"member_changed","member":"[::1]:7400","state":"suspect","incarnation":4,"from":null}"#,
        ),
        (
            line(9, changed(Some(from))),
            r#"{"run":1,"node":"n001","number":9,"at_ns":18446744073709551615,"what":"member_changed","member":"[::1]:7400","state":"suspect","incarnation":4,"from":"10.77.0.2:7400"}"#,
        ),
        (
            line(10, What::NodeStopped),
            r#"{"run":1,"node":"n001","number":10,"at_ns":18446744073709551615,"what":"node_stopped"}"#,
        ),
    ] {
        let (json, again) = through_json(&line);
        assert_eq!((json.as_str(), again), (expected, line));
    }
}

#[test]
fn orders_look_like_this() {
    let sleep = Impairment::Sleep(Sleep { duration: Span::from_millis(3_000) });
    for (order, expected) in [
        (Order::Welcome, r#"{"order":"welcome"}"#),
        (
            Order::Impair { fault: 2, impairment: sleep },
            r#"{"order":"impair","fault":2,"impairment":{"sleep":{"duration":"3s"}}}"#,
        ),
        (Order::Collect { acknowledged: 9 }, r#"{"order":"collect","acknowledged":9}"#),
    ] {
        let (json, again) = through_json(&order);
        assert_eq!((json.as_str(), again), (expected, order));
    }
    assert_eq!(SCHEMA, Version { major: 1, minor: 1 });
}
