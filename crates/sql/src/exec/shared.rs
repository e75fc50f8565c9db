//! What a statement says more than once (a WITH query used twice, an aggregate that stands in two subqueries) is computed
//! once, so that both places also see the very same numbers.

use std::sync::Arc;

use ovate_base::Result;
use ovate_engine::Relation;

use super::Executor;
use crate::plan::{Rel, RelKind, Rex, Rows};

/// Aggregates looked at; statements with more are run as they are.
const LOOKED_AT_MAX: usize = 64;

impl Executor<'_> {
    /// The rows of a whole statement.
    pub async fn statement(&self, rel: &Rel) -> Result<Relation> {
        let mut found = Vec::new();
        aggregates_of(rel, &mut found);
        if found.len() < 2 || found.len() > LOOKED_AT_MAX {
            return self.execute(rel).await;
        }
        let twice: Vec<Rel> = found
            .iter()
            .enumerate()
            .filter(|(at, one)| found[at + 1..].contains(one) && !found[..*at].contains(one) && !one.is_correlated())
            .map(|(_, one)| (*one).clone())
            .collect();
        let mut rel = rel.clone();
        let mut done: Vec<(Rel, Rel)> = Vec::new();
        for shared in twice {
            // One inside another that was replaced is gone.
            let mut left = Vec::new();
            aggregates_of(&rel, &mut left);
            if left.iter().filter(|one| ***one == shared).count() < 2 {
                continue;
            }
            let rows = self.execute(&shared).await?;
            let instead = Rel { kind: RelKind::Rows(Rows(Arc::new(rows))), fields: shared.fields.clone() };
            done.push((shared, instead));
            rel = replaced(&rel, &done[done.len() - 1..]);
        }
        self.execute(&rel).await
    }
}

/// Aggregating relations, outermost first, those of subqueries too.
/// True where the same aggregation may stand twice.
pub(super) fn has_several_aggregates(rel: &Rel) -> bool {
    let mut found = Vec::new();
    aggregates_of(rel, &mut found);
    found.len() > 1
}

fn aggregates_of<'r>(rel: &'r Rel, out: &mut Vec<&'r Rel>) {
    if matches!(rel.kind, RelKind::Aggregate { .. }) {
        out.push(rel);
    }
    for rex in rel.exprs() {
        subqueries_of(rex, out);
    }
    rel.children().into_iter().for_each(|child| aggregates_of(child, out));
}

fn subqueries_of<'r>(rex: &'r Rex, out: &mut Vec<&'r Rel>) {
    match rex {
        Rex::Call { args, .. } => args.iter().for_each(|arg| subqueries_of(arg, out)),
        Rex::Subquery { plan, args, .. } => {
            args.iter().for_each(|arg| subqueries_of(arg, out));
            aggregates_of(plan, out);
        }
        _ => {}
    }
}

fn replaced(rel: &Rel, list: &[(Rel, Rel)]) -> Rel {
    if let Some((_, instead)) = list.iter().find(|(known, _)| known == rel) {
        // The fields' names are those of this place.
        return Rel { kind: instead.kind.clone(), fields: rel.fields.clone() };
    }
    let rel = rel.with_children(&mut |child| replaced(child, list));
    rel.map_own_exprs(&|rex| {
        rex.map(&mut |node| match node {
            Rex::Subquery { kind, plan, args, sql_type } => {
                Rex::Subquery { kind, plan: Arc::new(replaced(&plan, list)), args, sql_type }
            }
            other => other,
        })
    })
}
