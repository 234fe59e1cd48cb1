//! The TOML form knows every value of the core's configuration, and each key changes its own value and no other.

use std::collections::{BTreeMap, BTreeSet};

use event_log::protocol::{Config, Preset, Protocol};

/// A key, a value that no preset has, and the value of the configuration that it changes.
const KEYS: [(&str, &str, &str); 40] = [
    ("cluster", "\"other\"", "cluster"),
    ("gossip_interval", "\"123ms\"", "gossip_interval"),
    ("aligned_rounds", "true", "aligned_rounds"),
    ("strategy", "\"push\"", "strategy"),
    ("fanout", "9", "strategy"),
    ("split_max", "9", "strategy"),
    ("idle_calls", "true", "idle_calls"),
    ("forwards_max", "9", "forwards_max"),
    ("retransmit_multiplier", "9", "retransmit_multiplier"),
    ("probe_interval", "\"1234ms\"", "probe_interval"),
    ("probe_timeout", "\"432ms\"", "probe_timeout"),
    ("probe_timeout_min", "\"77ms\"", "probe_timeout_min"),
    ("indirect_probes", "7", "indirect_probes"),
    ("probe_pings", "7", "probe_pings"),
    ("helpers_confirm", "false", "helpers_confirm"),
    ("suspicion_multiplier", "9", "suspicion_multiplier"),
    ("suspicion_min", "\"1234ms\"", "suspicion_min"),
    ("suspicion_max_multiplier", "9", "suspicion_max_multiplier"),
    ("suspicion_confirmations", "7", "suspicion_confirmations"),
    ("awareness_max", "9", "awareness_max"),
    ("buddy_system", "false", "buddy_system"),
    ("self_doubt", "false", "self_doubt"),
    ("sync_interval", "\"1234ms\"", "sync_interval"),
    ("event_lifetime", "\"77s\"", "event_lifetime"),
    ("events_max", "777", "events_max"),
    ("event_bytes_max", "777777", "event_bytes_max"),
    ("seen_max", "17777", "seen_max"),
    ("ordered_wait", "\"7s\"", "ordered_wait"),
    ("ordered_max", "77", "ordered_max"),
    ("queries_max", "77", "queries_max"),
    ("answers_per_second_max", "77", "answers_per_second_max"),
    ("tombstone_lifetime", "\"77s\"", "tombstone_lifetime"),
    ("members_max", "77777", "members_max"),
    ("coordinates_max", "77", "coordinates_max"),
    ("metadata_max", "77", "metadata_max"),
    ("names", "true", "names"),
    ("changes_max", "77", "changes_max"),
    ("datagram_max", "1277", "datagram_max"),
    ("datagrams_per_second_max", "77", "datagrams_per_second_max"),
    ("transmits_max", "77", "transmits_max"),
];

/// Names and values of a configuration, one a line in what `{:#?}` prints.
fn values(config: &Config) -> BTreeMap<String, String> {
    let text = format!("{config:#?}");
    let mut values = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines().skip(1) {
        if line == "}" {
            break;
        }
        let field = line.strip_prefix("    ").expect("a field of the struct");
        if !field.starts_with([' ', ')', '}']) {
            name = field.split_once(':').expect("name: value").0.to_owned();
        }
        values.entry(name.clone()).or_insert_with(String::new).push_str(field);
    }
    values
}

#[test]
fn every_value_of_the_configuration_can_be_set_in_a_plan() {
    let in_the_core: BTreeSet<String> = values(&Config::lan()).into_keys().collect();
    let in_plans: BTreeSet<String> = KEYS.iter().map(|(_, _, value)| (*value).to_owned()).collect();
    assert_eq!(in_the_core, in_plans);
}

#[test]
fn each_key_changes_its_own_value_and_no_other() {
    let preset = values(&Config::lan());
    for (key, value, changed) in KEYS {
        let key = if key == "split_max" { "strategy = \"sqrt-tree\"\nsplit_max" } else { key };
        let protocol: Protocol = toml::from_str(&format!("{key} = {value}")).unwrap_or_else(|e| panic!("{key}: {e}"));
        let config = values(&protocol.config().unwrap_or_else(|error| panic!("{key}: {error}")));
        let differ: Vec<&String> = preset.keys().filter(|name| preset[*name] != config[*name]).collect();
        assert_eq!(differ, [changed], "{key} = {value}");
    }
}

#[test]
fn what_is_not_given_is_not_written() {
    // A value that is new in this version must not change the hash of a plan that does not name it.
    let json = serde_json::to_string(&Protocol::default()).expect("plain data");
    assert_eq!(json, "{\"preset\":\"lan\"}");
}

#[test]
fn the_presets_are_the_cores() {
    for (preset, config) in [
        (Preset::Lan, Config::lan()),
        (Preset::Wan, Config::wan()),
        (Preset::Local, Config::local()),
        (Preset::Lab, Config::lab()),
    ] {
        let protocol = Protocol { preset, ..Protocol::default() };
        assert_eq!(protocol.config(), Ok(config));
    }
}
