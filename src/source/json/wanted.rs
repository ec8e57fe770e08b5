//! The values that are read of each record: names and paths, arranged by where they are found.

use std::collections::BTreeMap;

use super::cursor::DEPTH_MAX;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// Where a column's value may be: a key, or an item of an array.
#[derive(Debug, Default)]
pub(super) struct Edge {
    /// Columns whose whole name is this key.
    pub(super) exact: Vec<usize>,
    /// Columns whose path ends here.
    pub(super) path: Vec<usize>,
    /// What lies below.
    pub(super) below: Option<usize>,
}

/// An object or array on the way.
#[derive(Debug, Default)]
struct Node {
    /// By length, then bytes.
    keys: Vec<(Box<[u8]>, usize)>,
    /// By position.
    items: BTreeMap<usize, usize>,
}

/// All columns.
#[derive(Debug)]
pub(super) struct Wanted {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    /// How many columns there are.
    pub(super) columns: usize,
    /// Columns that take the whole record unless it has a key of that name.
    pub(super) whole: Vec<usize>,
}

impl Wanted {
    /// The record itself.
    pub(super) const ROOT: usize = 0;

    /// `more` is one more column, behind the others.
    ///
    /// # Errors
    ///
    /// A path that is deeper than a record may be.
    pub(super) fn new(columns: &[String], more: Option<&str>) -> Result<Self, String> {
        let count = columns.len() + usize::from(more.is_some());
        let mut wanted = Self { nodes: vec![Node::default()], edges: Vec::new(), columns: count, whole: Vec::new() };
        for (column, name) in columns.iter().map(String::as_str).chain(more).enumerate() {
            let edge = wanted.key(Self::ROOT, name);
            wanted.edges[edge].exact.push(column);
            if name == super::WHOLE_ROW {
                wanted.whole.push(column);
            }
            let Some(steps) = steps(name).filter(|steps| steps.len() > 1) else { continue };
            if steps.len() > DEPTH_MAX as usize {
                return Err(format!("a path of more than {DEPTH_MAX} steps leads nowhere"));
            }
            let mut node = Self::ROOT;
            let mut edge = 0;
            for (index, step) in steps.iter().enumerate() {
                if index > 0 {
                    node = wanted.below(edge);
                }
                edge = match step {
                    Step::Key(key) => wanted.key(node, key),
                    Step::Index(position) => wanted.item(node, *position),
                };
            }
            wanted.edges[edge].path.push(column);
        }
        Ok(wanted)
    }

    fn key(&mut self, node: usize, name: &str) -> usize {
        let at = match self.find(node, name.as_bytes()) {
            Ok(at) => return self.nodes[node].keys[at].1,
            Err(at) => at,
        };
        let edge = self.edges.len();
        self.edges.push(Edge::default());
        self.nodes[node].keys.insert(at, (name.as_bytes().into(), edge));
        edge
    }

    fn item(&mut self, node: usize, position: usize) -> usize {
        let edge = self.edges.len();
        let found = *self.nodes[node].items.entry(position).or_insert(edge);
        if found == edge {
            self.edges.push(Edge::default());
        }
        found
    }

    fn below(&mut self, edge: usize) -> usize {
        if let Some(node) = self.edges[edge].below {
            return node;
        }
        let node = self.nodes.len();
        self.nodes.push(Node::default());
        self.edges[edge].below = Some(node);
        node
    }

    fn find(&self, node: usize, name: &[u8]) -> Result<usize, usize> {
        self.nodes[node].keys.binary_search_by(|(known, _)| (known.len(), &**known).cmp(&(name.len(), name)))
    }

    /// The edge of a key.
    #[inline]
    pub(super) fn at_key(&self, node: usize, name: &[u8]) -> Option<usize> {
        self.find(node, name).ok().map(|at| self.nodes[node].keys[at].1)
    }

    /// The edge of an item.
    pub(super) fn at_item(&self, node: usize, position: usize) -> Option<usize> {
        self.nodes[node].items.get(&position).copied()
    }

    pub(super) fn edge(&self, edge: usize) -> &Edge {
        &self.edges[edge]
    }

    /// How many edges there are.
    pub(super) fn edges(&self) -> usize {
        self.edges.len()
    }

    /// Whether a record's own key `name` leads to a column.
    pub(super) fn has_key(&self, name: &str) -> bool {
        self.at_key(Self::ROOT, name.as_bytes()).is_some()
    }
}

/// The steps of a path such as `address.city`, `items[0].price` or `data["a.b"].c`. `None`: the
/// name is no path.
fn steps(name: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = name;
    loop {
        // A key, at the start or after a dot.
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        if key.is_empty() {
            return None;
        }
        steps.push(Step::Key(key.to_owned()));
        rest = after;
        while let Some(inside) = rest.strip_prefix('[') {
            if inside.starts_with('"') {
                let mut keys = serde_json::Deserializer::from_str(inside).into_iter::<String>();
                steps.push(Step::Key(keys.next()?.ok()?));
                rest = inside[keys.byte_offset()..].strip_prefix(']')?;
            } else {
                let (position, after) = inside.split_once(']')?;
                let plain = position.bytes().all(|byte| byte.is_ascii_digit());
                steps.push(Step::Index(position.parse().ok().filter(|_| plain)?));
                rest = after;
            }
        }
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None => return rest.is_empty().then_some(steps),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Step {
        Step::Key(name.to_owned())
    }

    #[test]
    fn paths_have_keys_and_positions() {
        assert_eq!(steps("address.city"), Some(vec![key("address"), key("city")]));
        assert_eq!(steps("items[0].price"), Some(vec![key("items"), Step::Index(0), key("price")]));
        assert_eq!(steps("a[1][2]"), Some(vec![key("a"), Step::Index(1), Step::Index(2)]));
        assert_eq!(steps("a[\"b.c]\"].d"), Some(vec![key("a"), key("b.c]"), key("d")]));
        assert_eq!(steps("Customer ID"), Some(vec![key("Customer ID")]));
    }

    #[test]
    fn what_is_no_path_is_only_a_name() {
        for name in ["", ".a", "a.", "a..b", "a[", "a[]", "a[x]", "a[-1]", "a[+1]", "a[0", "a[0]b", "[0]", "a[\"b]"] {
            assert_eq!(steps(name), None, "{name}");
        }
    }
}
