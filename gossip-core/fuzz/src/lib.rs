//! What is fuzzed, and what must hold. Each target is a function of bytes that panics when a property is broken; libFuzzer
//! (`fuzz_targets/`) looks for such bytes, and gossip-core's own tests replay the corpus through the same functions.
//!
//! Bytes are read as a script: every byte string is one, so that a mutation of a good script is a script again.

pub mod cluster;
pub mod decode;
mod forge;
pub mod node;
mod script;
pub mod sealed;
pub mod snapshot;

/// A target's name and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 5] = [
    ("decode", decode::run),
    ("node", node::run),
    ("cluster", cluster::run),
    ("snapshot", snapshot::run),
    ("sealed", sealed::run),
];

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::{fs, println};

    use super::TARGETS;

    /// Each finding of the fuzzer lies in the corpus as a file with a name, besides the scripts that reach the most code.
    #[test]
    fn the_corpus_breaks_no_property() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (target, run) in TARGETS {
            let files = fs::read_dir(corpus.join(target)).expect("each target has a corpus");
            let mut replayed = 0;
            for file in files {
                let path = file.expect("the corpus can be listed").path();
                println!("{}", path.display());
                run(&fs::read(&path).expect("the corpus can be read"));
                replayed += 1;
            }
            assert!(replayed > 0, "the corpus of {target} is empty");
        }
    }
}
