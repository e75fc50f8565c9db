//! Walking and rewriting bound expressions and relations.

use super::{AggregateCall, Rel, RelKind, Rex, WindowCall};

impl Rex {
    /// Rebuilds the expression from the leaves up; `f` gets every node after its children.
    pub fn map(self, f: &mut dyn FnMut(Rex) -> Rex) -> Rex {
        let node = match self {
            Rex::Call { op, args, sql_type } => {
                Rex::Call { op, args: args.into_iter().map(|arg| arg.map(f)).collect(), sql_type }
            }
            Rex::Subquery { kind, plan, args, sql_type } => {
                Rex::Subquery { kind, plan, args: args.into_iter().map(|arg| arg.map(f)).collect(), sql_type }
            }
            leaf => leaf,
        };
        f(node)
    }

    /// Calls `f` for every node, parents first.
    pub fn visit(&self, f: &mut dyn FnMut(&Rex)) {
        f(self);
        if let Rex::Call { args, .. } | Rex::Subquery { args, .. } = self {
            for arg in args {
                arg.visit(f);
            }
        }
    }

    /// True when some node satisfies `test`.
    pub fn any(&self, test: &dyn Fn(&Rex) -> bool) -> bool {
        let mut found = false;
        self.visit(&mut |node| found = found || test(node));
        found
    }

    /// The input columns it reads, in order of appearance, each once. Correlated subqueries count what they read too.
    pub fn inputs_used(&self, out: &mut Vec<usize>) {
        self.visit(&mut |node| match node {
            Rex::Input(index, _) if !out.contains(index) => {
                out.push(*index);
            }
            Rex::Subquery { plan, .. } => plan.outer_used(1, out),
            _ => {}
        });
    }

    /// Input columns replaced by what `f` gives for their index; also inside correlated subqueries, where `f` must
    /// give a plain input.
    pub fn with_inputs(self, f: &dyn Fn(usize) -> Rex) -> Rex {
        self.map(&mut |node| match node {
            Rex::Input(index, _) => f(index),
            Rex::Subquery { kind, plan, args, sql_type } if plan.is_correlated() => {
                let plan = plan.map_exprs(&|rex, depth| rex.with_outer(depth, f));
                Rex::Subquery { kind, plan: plan.into(), args, sql_type }
            }
            other => other,
        })
    }

    /// Columns shifted by an offset.
    pub fn shifted(self, by: isize) -> Rex {
        self.map(&mut |node| match node {
            Rex::Input(index, t) => Rex::Input(index.wrapping_add_signed(by), t),
            Rex::Subquery { kind, plan, args, sql_type } if plan.is_correlated() => {
                let shift = |rex: Rex, depth: usize| {
                    rex.map(&mut |node| match node {
                        Rex::Outer { depth: d, index, sql_type } if d == depth => {
                            Rex::Outer { depth: d, index: index.wrapping_add_signed(by), sql_type }
                        }
                        other => other,
                    })
                };
                Rex::Subquery { kind, plan: plan.map_exprs(&shift).into(), args, sql_type }
            }
            other => other,
        })
    }

    /// References to the query `depth` levels out replaced: a literal takes its place as it is, an input becomes a
    /// reference of the same depth.
    pub fn with_outer(self, depth: usize, f: &dyn Fn(usize) -> Rex) -> Rex {
        self.map(&mut |node| match node {
            Rex::Outer { depth: d, index, sql_type } if d == depth => match f(index) {
                Rex::Input(index, sql_type) => Rex::Outer { depth: d, index, sql_type },
                Rex::Literal(value, t) => Rex::Literal(value, t),
                _ => Rex::Outer { depth: d, index, sql_type },
            },
            other => other,
        })
    }
}

impl Rel {
    /// The relations directly below.
    pub fn children(&self) -> Vec<&Rel> {
        match &self.kind {
            RelKind::Filter { input, .. }
            | RelKind::Project { input, .. }
            | RelKind::Aggregate { input, .. }
            | RelKind::Sort { input, .. }
            | RelKind::Window { input, .. }
            | RelKind::Unnest { input, .. } => vec![input],
            RelKind::Join { left, right, .. } | RelKind::SetDifference { left, right, .. } => vec![left, right],
            RelKind::Union(inputs) => inputs.iter().collect(),
            RelKind::Table { .. }
            | RelKind::Lookup { .. }
            | RelKind::System(_)
            | RelKind::Info(_)
            | RelKind::External(_)
            | RelKind::Values(_)
            | RelKind::Rows(_) => Vec::new(),
        }
    }

    /// The expressions of this node itself.
    pub fn exprs(&self) -> Vec<&Rex> {
        let mut out = Vec::new();
        match &self.kind {
            RelKind::Values(rows) => rows.iter().for_each(|row| out.extend(row)),
            RelKind::Filter { condition, .. } | RelKind::Join { condition, .. } => out.push(condition),
            RelKind::Project { exprs, .. } => out.extend(exprs),
            RelKind::Aggregate { keys, aggregates, .. } => {
                out.extend(keys);
                for call in aggregates {
                    out.extend(&call.args);
                    out.extend(&call.filter);
                }
            }
            RelKind::Window { calls, .. } => {
                for call in calls {
                    out.extend(&call.args);
                    out.extend(&call.filter);
                    out.extend(&call.partition_by);
                    out.extend(call.order_by.iter().map(|(rex, _, _)| rex));
                }
            }
            RelKind::Unnest { arrays, .. } => out.extend(arrays),
            _ => {}
        }
        out
    }

    /// True when it reads columns of queries around it.
    pub fn is_correlated(&self) -> bool {
        let mut used = Vec::new();
        self.outer_any(1, &mut used);
        !used.is_empty()
    }

    fn outer_any(&self, depth: usize, out: &mut Vec<usize>) {
        for rex in self.exprs() {
            rex.visit(&mut |node| match node {
                Rex::Outer { depth: d, index, .. } if *d >= depth => out.push(*index),
                Rex::Subquery { plan, .. } => plan.outer_any(depth + 1, out),
                _ => {}
            });
        }
        for child in self.children() {
            child.outer_any(depth, out);
        }
    }

    /// The columns it reads of the query `depth` levels out.
    pub fn outer_used(&self, depth: usize, out: &mut Vec<usize>) {
        for rex in self.exprs() {
            rex.visit(&mut |node| match node {
                Rex::Outer { depth: d, index, .. } if *d == depth && !out.contains(index) => {
                    out.push(*index);
                }
                Rex::Subquery { plan, .. } => plan.outer_used(depth + 1, out),
                _ => {}
            });
        }
        for child in self.children() {
            child.outer_used(depth, out);
        }
    }

    /// The same node over other relations.
    pub fn with_children(&self, f: &mut dyn FnMut(&Rel) -> Rel) -> Rel {
        let mut child = |rel: &Rel| Box::new(f(rel));
        let mut out = self.clone();
        match &mut out.kind {
            RelKind::Filter { input, .. }
            | RelKind::Project { input, .. }
            | RelKind::Aggregate { input, .. }
            | RelKind::Sort { input, .. }
            | RelKind::Window { input, .. }
            | RelKind::Unnest { input, .. } => *input = child(input),
            RelKind::Join { left, right, .. } | RelKind::SetDifference { left, right, .. } => {
                *left = child(left);
                *right = child(right);
            }
            RelKind::Union(inputs) => inputs.iter_mut().for_each(|rel| *rel = *child(rel)),
            RelKind::Table { .. }
            | RelKind::Lookup { .. }
            | RelKind::System(_)
            | RelKind::Info(_)
            | RelKind::External(_)
            | RelKind::Values(_)
            | RelKind::Rows(_) => {}
        }
        out
    }

    /// Every expression replaced by `f(expression, depth)`, where depth is 1 for this query's own level and one more in
    /// each subquery inside.
    pub fn map_exprs(&self, f: &dyn Fn(Rex, usize) -> Rex) -> Rel {
        self.map_exprs_at(1, f)
    }

    /// Only this node's own expressions replaced, not those of relations below or of subqueries.
    pub fn map_own_exprs(&self, f: &dyn Fn(Rex) -> Rex) -> Rel {
        let children: Vec<Rel> = self.children().into_iter().cloned().collect();
        let hollow = |t: &Rel| Rel { kind: RelKind::Values(Vec::new()), fields: t.fields.clone() };
        let mapped =
            self.with_children(&mut |child| hollow(child)).map_exprs(&|rex, depth| if depth == 1 { f(rex) } else { rex });
        let mut children = children.into_iter();
        mapped.with_children(&mut |child| children.next().unwrap_or_else(|| child.clone()))
    }

    fn map_exprs_at(&self, depth: usize, f: &dyn Fn(Rex, usize) -> Rex) -> Rel {
        let g = |rex: &Rex| -> Rex {
            let inner = rex.clone().map(&mut |node| match node {
                Rex::Subquery { kind, plan, args, sql_type } => {
                    Rex::Subquery { kind, plan: plan.map_exprs_at(depth + 1, f).into(), args, sql_type }
                }
                other => other,
            });
            f(inner, depth)
        };
        let all = |list: &[Rex]| -> Vec<Rex> { list.iter().map(g).collect() };
        let child = |rel: &Rel| Box::new(rel.map_exprs_at(depth, f));
        let kind = match &self.kind {
            RelKind::Values(rows) => RelKind::Values(rows.iter().map(|row| all(row)).collect()),
            RelKind::Filter { input, condition } => RelKind::Filter { input: child(input), condition: g(condition) },
            RelKind::Project { input, exprs } => RelKind::Project { input: child(input), exprs: all(exprs) },
            RelKind::Aggregate { input, keys, sets, aggregates } => RelKind::Aggregate {
                input: child(input),
                keys: all(keys),
                sets: sets.clone(),
                aggregates: aggregates
                    .iter()
                    .map(|call| AggregateCall { args: all(&call.args), filter: call.filter.as_ref().map(g), ..call.clone() })
                    .collect(),
            },
            RelKind::Sort { input, keys, offset, limit } => {
                RelKind::Sort { input: child(input), keys: keys.clone(), offset: *offset, limit: *limit }
            }
            RelKind::Join { left, right, kind, condition } => {
                RelKind::Join { left: child(left), right: child(right), kind: *kind, condition: g(condition) }
            }
            RelKind::Union(inputs) => RelKind::Union(inputs.iter().map(|rel| *child(rel)).collect()),
            RelKind::SetDifference { left, right, intersect, all } => {
                RelKind::SetDifference { left: child(left), right: child(right), intersect: *intersect, all: *all }
            }
            RelKind::Window { input, calls } => RelKind::Window {
                input: child(input),
                calls: calls
                    .iter()
                    .map(|call| WindowCall {
                        args: all(&call.args),
                        filter: call.filter.as_ref().map(g),
                        partition_by: all(&call.partition_by),
                        order_by: call.order_by.iter().map(|(rex, d, n)| (g(rex), *d, *n)).collect(),
                        ..call.clone()
                    })
                    .collect(),
            },
            RelKind::Unnest { input, arrays, ordinality } => {
                RelKind::Unnest { input: child(input), arrays: all(arrays), ordinality: *ordinality }
            }
            leaf => leaf.clone(),
        };
        Rel { kind, fields: self.fields.clone() }
    }
}
