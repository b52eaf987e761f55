//! Prints the edges of a state machine as a Mermaid diagram and finds it in `docs/safety.md`.

use std::collections::BTreeMap;

/// The diagram of a state machine that starts in `start`: one edge for each (from, to), labelled with its facts.
pub(super) fn mermaid(machine: &str, start: &str, edges: &[(String, String, &str)]) -> String {
    let mut order = Vec::new();
    let mut labels: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (from, to, fact) in edges {
        let edge = (from.as_str(), to.as_str());
        if !order.contains(&edge) {
            order.push(edge);
        }
        let facts = labels.entry(edge).or_default();
        if !facts.contains(fact) {
            facts.push(fact);
        }
    }
    let mut text =
        format!("```mermaid\n---\ntitle: {machine}\n---\nstateDiagram-v2\n    [*] --> {start}\n");
    for edge in order {
        let facts = labels[&edge].join(", ");
        text.push_str(&format!("    {} --> {}: {facts}\n", edge.0, edge.1));
    }
    text + "```\n"
}

/// Fails unless `docs/safety.md` contains this diagram, word for word.
pub(super) fn assert_in_safety(diagram: &str) {
    let safety = include_str!("../../../docs/safety.md");
    assert!(
        safety.contains(diagram),
        "docs/safety.md has another diagram; the code says:\n{diagram}"
    );
}
