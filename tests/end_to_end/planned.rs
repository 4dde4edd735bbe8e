//! What `plan` says of a spec, as programs read it.

use std::path::Path;

use serde_json::Value;

use crate::support::{Place, text};

/// A plan.
pub(crate) struct Planned(pub(crate) Value);

impl Planned {
    /// Plans a spec and expects success.
    pub(crate) fn of(place: &Place, spec: &Path) -> Self {
        let output = place.output(&["plan", text(spec), "--format", "json"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        Self(serde_json::from_slice(&output.stdout).expect("a plan"))
    }

    pub(crate) fn nodes(&self) -> &[Value] {
        self.0["nodes"].as_array().expect("nodes")
    }

    pub(crate) fn node(&self, id: &str) -> &Value {
        let mut nodes = self.nodes().iter();
        nodes.find(|node| node["id"] == id).expect(id)
    }

    /// Ids of the nodes of a kind.
    pub(crate) fn ids(&self, kind: &str) -> Vec<&str> {
        let nodes = self.nodes().iter().filter(|node| node["kind"] == kind);
        nodes.filter_map(|node| node["id"].as_str()).collect()
    }

    /// Two fields of every node, in the order of the plan.
    pub(crate) fn fields<'a>(
        &'a self,
        [one, other]: [&'a str; 2],
    ) -> impl Iterator<Item = (String, String)> + 'a {
        let word = |node: &Value, field: &str| node[field].as_str().unwrap_or_default().to_owned();
        let nodes = self.nodes().iter();
        nodes.map(move |node| (word(node, one), word(node, other)))
    }
}
