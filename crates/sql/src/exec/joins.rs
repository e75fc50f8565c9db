//! Joins: the small relations of a group of inner joins are run first, and what they hold becomes a filter on the larger
//! ones before these are read; then the pair that gives the fewest rows is joined, again and again.

use std::borrow::Cow;
use std::sync::Arc;

use futures::future::BoxFuture;
use ovate_base::{DruidError, Result};
use ovate_compute::filter::LongSet;
use ovate_compute::{Value, Vector};
use ovate_engine::Relation;
use ovate_engine::codes::distinct_values;
use ovate_engine::join::{JoinKey, JoinType, PairTest, Room, distinct_keys, inner_pairs, join_within};
use tokio::sync::mpsc;

use super::Executor;
use super::estimate::{Estimate, estimate};
use crate::plan::{KeySet, Rel, RelJoin, RelKind, Rex, push_filters};
use crate::types::SqlType;

/// Most values of one side that become a filter on the other.
const FILTER_VALUES_MAX: usize = 100_000;
/// A side that keeps more than this share of its rows does not narrow the other one down.
const NARROWS_BELOW: f64 = 0.8;
/// Rows of a product that are handed on together.
const PRODUCT_ROWS: usize = 200_000;
/// Rows of the left side of other joins whose matches are handed on together.
const PIECE_ROWS: usize = 100_000;
/// Relations in one group; what is joined beyond stays as written.
const GROUP_MAX: usize = 60;

/// A condition of a group: over all its columns, and which relations these belong to.
#[derive(Clone)]
struct Condition {
    rex: Rex,
    relations: u64,
    equal: Option<Equal>,
}

/// `a = b` of different relations.
#[derive(Clone)]
struct Equal {
    sides: [(Rex, u64); 2],
    null_safe: bool,
}

/// A relation of a group, or several joined.
#[derive(Clone)]
struct Part {
    relation: Relation,
    /// Where each column of the group stands here.
    places: Vec<Option<usize>>,
    relations: u64,
}

struct Leaf<'r> {
    rel: &'r Rel,
    from: usize,
}

impl Leaf<'_> {
    fn width(&self) -> usize {
        self.rel.fields.len()
    }
}

fn flatten<'r>(rel: &'r Rel, from: usize, leaves: &mut Vec<Leaf<'r>>, conditions: &mut Vec<Rex>) {
    match &rel.kind {
        RelKind::Join { left, right, kind: RelJoin::Inner, condition } if leaves.len() < GROUP_MAX => {
            flatten(left, from, leaves, conditions);
            if leaves.len() < GROUP_MAX {
                flatten(right, from + left.fields.len(), leaves, conditions);
            } else {
                leaves.push(Leaf { rel: right, from: from + left.fields.len() });
            }
            let mut own = Vec::new();
            condition.clone().conjuncts(&mut own);
            conditions.extend(own.into_iter().map(|rex| rex.shifted(from as isize)));
        }
        _ => leaves.push(Leaf { rel, from }),
    }
}

fn relations_of(rex: &Rex, leaves: &[Leaf<'_>]) -> u64 {
    let mut used = Vec::new();
    rex.inputs_used(&mut used);
    let of = |i: &usize| leaves.iter().position(|leaf| (leaf.from..leaf.from + leaf.width()).contains(i));
    used.iter().filter_map(of).fold(0, |bits, at| bits | 1 << at)
}

fn condition(rex: Rex, leaves: &[Leaf<'_>]) -> Condition {
    let equal = match &rex {
        Rex::Call { op: op @ ("=" | "IS NOT DISTINCT FROM"), args, .. } => {
            let sides = [0, 1].map(|i| (args[i].clone(), relations_of(&args[i], leaves)));
            let apart = sides[0].1 != 0 && sides[1].1 != 0 && sides[0].1 & sides[1].1 == 0;
            apart.then(|| Equal { sides, null_safe: *op != "=" })
        }
        _ => None,
    };
    Condition { relations: relations_of(&rex, leaves), rex, equal }
}

/// True for types whose values can be compared with a filter's constants as they are.
pub(super) fn may_filter(a: &SqlType, b: &SqlType) -> bool {
    let whole = |t: &SqlType| t.is_integer() || t.is_time();
    whole(a) && whole(b) || a.is_text() && b.is_text()
}

/// `rex IN (values)`; one constant, however many there are.
pub(super) fn among(rex: Rex, values: Vec<Value>) -> Rex {
    if values.is_empty() {
        return Rex::boolean(false);
    }
    let element = if rex.sql_type().is_text() { SqlType::Varchar } else { rex.sql_type().clone() };
    let list = Rex::Literal(Value::Array(values.into()), SqlType::Array(Box::new(element)));
    Rex::call("SCALAR_IN_ARRAY", vec![rex, list], SqlType::Boolean)
}

/// That `own` is among the values that the other side has in this column; `None` where these are too many or of another kind.
pub(super) fn among_those(own: &Rex, its: &SqlType, column: &Vector) -> Option<Rex> {
    if !may_filter(own.sql_type(), its) {
        return None;
    }
    if let (Vector::Long { values, nulls }, false) = (column, own.sql_type().is_text()) {
        let set = LongSet::of(values, nulls.as_deref())?;
        if set.is_empty() {
            return Some(Rex::boolean(false));
        }
        let list = Rex::Set(KeySet(Arc::new(set)), SqlType::Array(Box::new(SqlType::Bigint)));
        return Some(Rex::call("IN_SET", vec![own.clone(), list], SqlType::Boolean));
    }
    distinct_values(column, FILTER_VALUES_MAX).map(|values| among(own.clone(), values))
}

impl Executor<'_> {
    /// The rows of a join; columns that are not wanted may be null.
    /// `any_order`: whoever asks does not mind the order of the rows.
    pub(super) fn joined<'s>(&'s self, rel: &'s Rel, wanted: &'s [bool], any_order: bool) -> BoxFuture<'s, Result<Relation>> {
        Box::pin(async move {
            let RelKind::Join { left, right, kind, condition: own } = &rel.kind else { return self.run(rel).await };
            if *kind != RelJoin::Inner {
                return self.one_sided(left, right, *kind, own).await;
            }
            let (mut leaves, mut conditions) = (Vec::new(), Vec::new());
            flatten(rel, 0, &mut leaves, &mut conditions);
            let conditions: Vec<Condition> = conditions.into_iter().map(|rex| condition(rex, &leaves)).collect();
            let parts = self.leaves(&leaves, &conditions, wanted).await?;
            self.in_best_order(parts, conditions, wanted, any_order)
        })
    }

    /// Runs the relations of a group, small ones first.
    async fn leaves(&self, leaves: &[Leaf<'_>], conditions: &[Condition], wanted: &[bool]) -> Result<Vec<Part>> {
        let rels: Vec<&Rel> = leaves.iter().map(|leaf| leaf.rel).collect();
        let tables = self.table_rows(&rels).await?;
        let estimates: Vec<Estimate> = leaves.iter().map(|leaf| estimate(leaf.rel, &tables)).collect();
        let mut parts: Vec<Option<Part>> = leaves.iter().map(|_| None).collect();
        for _ in 0..leaves.len() {
            let kept = |at: usize| parts[at].as_ref().map(|p| p.relation.rows as f64 / estimates[at].base.max(1.0));
            // What the relations run so far leave of this one.
            let expected = |at: usize| {
                let shares = neighbours(at, conditions).into_iter().filter_map(|(_, _, other)| kept(other));
                estimates[at].rows * shares.map(|share| share.min(1.0)).product::<f64>()
            };
            let open = (0..leaves.len()).filter(|at| parts[*at].is_none());
            let Some(next) = open.min_by(|a, b| expected(*a).total_cmp(&expected(*b))) else { break };
            let mut filters = Vec::new();
            for (own, its, other) in neighbours(next, conditions) {
                let (Some(part), Some(share)) = (&parts[other], kept(other)) else { continue };
                let narrows = share < NARROWS_BELOW && (part.relation.rows as f64) < estimates[next].rows;
                if !narrows {
                    continue;
                }
                let column = self.column_of(part, its)?;
                let own = own.clone().shifted(-(leaves[next].from as isize));
                filters.extend(among_those(&own, its.sql_type(), &column).map(|filter| (share, filter)));
            }
            // What leaves the fewest rows goes first.
            filters.sort_by(|a, b| a.0.total_cmp(&b.0));
            let filters: Vec<Rex> = filters.into_iter().map(|(_, filter)| filter).collect();
            let leaf = &leaves[next];
            let relation = if filters.is_empty() {
                self.run(leaf.rel).await?
            } else {
                let narrowed = push_filters(&leaf.rel.clone().filter(Rex::and_all(filters)));
                self.run(&narrowed).await?
            };
            let mut places = vec![None; wanted.len()];
            (0..leaf.width()).for_each(|i| places[leaf.from + i] = Some(i));
            parts[next] = Some(Part { relation, places, relations: 1 << next });
        }
        Ok(parts.into_iter().flatten().collect())
    }

    /// An expression's values over a part.
    fn column_of<'p>(&self, part: &'p Part, rex: &Rex) -> Result<Cow<'p, Vector>> {
        if let Rex::Input(i, _) = rex
            && let Some(at) = part.places[*i]
        {
            return Ok(Cow::Borrowed(&part.relation.columns[at]));
        }
        self.eval(&over_part(rex, &part.places), &part.relation).map(Cow::Owned)
    }

    /// The same rows in the same order, handed on in parts: the left side of the last join is taken piece by piece, so that what was
    /// handed on need not be kept. Columns that are not wanted may be null.
    pub(super) async fn joined_in_parts(&self, rel: &Rel, wanted: &[bool], parts: &mpsc::Sender<Relation>) -> Result<()> {
        let gone = |_| DruidError::cancelled("nobody wants the rows any more");
        let RelKind::Join { left, right, kind, condition: own } = &rel.kind else {
            return Err(DruidError::runtime("relation is no join"));
        };
        if *kind != RelJoin::Inner {
            let sides = self.sides(left, right, *kind, own).await?;
            // Right rows without a match are known when all left ones were seen.
            let whole = matches!(kind, RelJoin::Right | RelJoin::Full);
            let step =
                if whole { sides.left.rows.max(1) } else { piece_rows(sides.left.rows, sides.right.rows, sides.keys.is_empty()) };
            for start in (0..sides.left.rows.max(1)).step_by(step) {
                self.check_stop()?;
                let piece = sides.left.slice(start as u64, Some(step as u64));
                parts.send(self.join_sides(&sides, &piece)?).await.map_err(gone)?;
            }
            return Ok(());
        }
        let (mut leaves, mut conditions) = (Vec::new(), Vec::new());
        flatten(rel, 0, &mut leaves, &mut conditions);
        let conditions: Vec<Condition> = conditions.into_iter().map(|rex| condition(rex, &leaves)).collect();
        let all = self.leaves(&leaves, &conditions, wanted).await?;
        // Of two relations rows come as the left one has them; of more in no order.
        let any_order = all.len() > 2;
        let (mut last, open) = self.reduced(all, conditions, wanted, 2, false)?;
        let (Some(right), Some(left)) = (last.pop(), last.pop()) else {
            return Err(DruidError::runtime("an inner join has less than two sides"));
        };
        let is_product = self.keys_between(&left, &right, &open).is_empty();
        let step = piece_rows(left.relation.rows, right.relation.rows, is_product);
        for start in (0..left.relation.rows).step_by(step) {
            self.check_stop()?;
            let relation = left.relation.slice(start as u64, Some(step as u64));
            let piece = Part { relation, places: left.places.clone(), relations: left.relations };
            let rows = self.in_best_order(vec![piece, right.clone()], open.clone(), wanted, any_order)?;
            if rows.rows > 0 {
                parts.send(rows).await.map_err(gone)?;
            }
        }
        Ok(())
    }

    fn in_best_order(&self, parts: Vec<Part>, open: Vec<Condition>, wanted: &[bool], any_order: bool) -> Result<Relation> {
        // Of two relations rows come as the left one has them; of more in no order.
        let in_order = !any_order && parts.len() == 2;
        let (mut parts, open) = self.reduced(parts, open, wanted, 1, in_order)?;
        let Some(part) = parts.pop() else { return Ok(Relation::default()) };
        let Part { relation, places, .. } = part;
        let rows = relation.rows;
        // Each column has one place.
        let mut all: Vec<Option<Vector>> = relation.columns.into_iter().map(Some).collect();
        let mut column = |place: &Option<usize>| place.and_then(|at| all[at].take()).unwrap_or(Vector::Null { len: rows });
        let columns = places.iter().map(&mut column).collect();
        let whole = Relation { columns, rows };
        if open.is_empty() {
            return Ok(whole);
        }
        let rest = Rex::and_all(open.into_iter().map(|c| c.rex).collect());
        let keep = self.holds(&rest, &whole)?;
        let rows: Vec<u32> = (0..rows as u32).filter(|row| keep[*row as usize]).collect();
        Ok(whole.gather(&rows))
    }

    /// Parts joined until so many are left, and the conditions that are still to be looked at.
    fn reduced(
        &self,
        mut parts: Vec<Part>,
        mut open: Vec<Condition>,
        wanted: &[bool],
        until: usize,
        in_order: bool,
    ) -> Result<(Vec<Part>, Vec<Condition>)> {
        while parts.len() > until {
            let (a, b) = self.cheapest(&parts, &open)?;
            // The later one goes first, so that the other keeps its place.
            let right = parts.swap_remove(a.max(b));
            let left = parts.swap_remove(a.min(b));
            let both = left.relations | right.relations;
            let (now, later): (Vec<Condition>, Vec<Condition>) =
                open.into_iter().partition(|c| c.relations & !both == 0 && c.relations != 0);
            open = later;
            let mut needed = wanted.to_vec();
            let mut used = Vec::new();
            open.iter().for_each(|c| c.rex.inputs_used(&mut used));
            used.into_iter().for_each(|i| needed[i] = true);
            parts.push(self.pair(left, right, &now, &needed, in_order)?);
        }
        Ok((parts, open))
    }

    /// The two parts to join next: of those with equal columns the two with the fewest pairs, else the smallest two.
    fn cheapest(&self, parts: &[Part], open: &[Condition]) -> Result<(usize, usize)> {
        if parts.len() == 2 {
            return Ok((0, 1));
        }
        let mut best: Option<(f64, usize, usize)> = None;
        for a in 0..parts.len() {
            for b in a + 1..parts.len() {
                let keys = self.keys_between(&parts[a], &parts[b], open);
                let (left, right) = (parts[a].relation.rows as f64, parts[b].relation.rows as f64);
                // A product comes last.
                let mut pairs = left * right * if keys.is_empty() { 1e12 } else { 1.0 };
                if !keys.is_empty() && left * right > 0.0 {
                    let (small, own): (&Part, Vec<&Rex>) = if left <= right {
                        (&parts[a], keys.iter().map(|(l, _, _)| *l).collect())
                    } else {
                        (&parts[b], keys.iter().map(|(_, r, _)| *r).collect())
                    };
                    let columns = own.into_iter().map(|rex| self.column_of(small, rex)).collect::<Result<Vec<_>>>()?;
                    let columns: Vec<&Vector> = columns.iter().map(|c| &**c).collect();
                    pairs /= distinct_keys(&columns, small.relation.rows).max(1) as f64;
                }
                if best.is_none_or(|(least, _, _)| pairs < least) {
                    best = Some((pairs, a, b));
                }
            }
        }
        Ok(best.map_or((0, 1), |(_, a, b)| (a, b)))
    }

    /// The equalities between two parts: left expression, right one, null equals null.
    fn keys_between<'c>(&self, a: &Part, b: &Part, open: &'c [Condition]) -> Vec<(&'c Rex, &'c Rex, bool)> {
        open.iter()
            .filter_map(|c| {
                let Equal { sides: [(l, in_l), (r, in_r)], null_safe } = c.equal.as_ref()?;
                if in_l & !a.relations == 0 && in_r & !b.relations == 0 {
                    Some((l, r, *null_safe))
                } else if in_l & !b.relations == 0 && in_r & !a.relations == 0 {
                    Some((r, l, *null_safe))
                } else {
                    None
                }
            })
            .collect()
    }

    /// Two parts joined on all conditions between them.
    fn pair(&self, mut left: Part, mut right: Part, conditions: &[Condition], needed: &[bool], in_order: bool) -> Result<Part> {
        let mut keys = Vec::new();
        for (l, r, null_safe) in self.keys_between(&left, &right, conditions) {
            let (l, r) = (self.place_of(&mut left, l)?, self.place_of(&mut right, r)?);
            keys.push(JoinKey { left: l, right: r, null_safe });
        }
        let is_key = |c: &&Condition| {
            c.equal.as_ref().is_some_and(|e| {
                let whole = |part: &Part, bits: u64| bits & !part.relations == 0;
                whole(&left, e.sides[0].1) && whole(&right, e.sides[1].1)
                    || whole(&right, e.sides[0].1) && whole(&left, e.sides[1].1)
            })
        };
        let rest: Vec<Rex> = conditions.iter().filter(|c| !is_key(c)).map(|c| c.rex.clone()).collect();
        let residual = Rex::and_all(rest.clone());
        let mut read = Vec::new();
        residual.inputs_used(&mut read);
        let test = |l: &[u32], r: &[u32]| -> Result<Vec<bool>> {
            let mut places = vec![None; needed.len()];
            let mut columns = Vec::with_capacity(read.len());
            for i in &read {
                let column = match (left.places[*i], right.places[*i]) {
                    (Some(at), _) => left.relation.columns[at].gather(l),
                    (None, Some(at)) => right.relation.columns[at].gather(r),
                    (None, None) => Vector::Null { len: l.len() },
                };
                places[*i] = Some(columns.len());
                columns.push(column);
            }
            self.holds(&over_part(&residual, &places), &Relation { columns, rows: l.len() })
        };
        let room = Room::of(self.runner.context(self.eval.clone()).budget(), &left.relation, &right.relation);
        let test: Option<PairTest<'_>> = if rest.is_empty() { None } else { Some(&test) };
        let (l, r) = inner_pairs(room, &left.relation, &right.relation, &keys, test, in_order)?;
        let (from_left, mut places) = kept(&left, needed, 0);
        let (from_right, right_places) = kept(&right, needed, from_left.len());
        places.iter_mut().zip(right_places).for_each(|(place, other)| *place = place.or(other));
        let mut columns = Relation::gather_columns(&from_left, &l);
        columns.extend(Relation::gather_columns(&from_right, &r));
        Ok(Part { relation: Relation { columns, rows: l.len() }, places, relations: left.relations | right.relations })
    }

    /// Where an expression's values stand in a part; computed when it is no column.
    fn place_of(&self, part: &mut Part, rex: &Rex) -> Result<usize> {
        if let Rex::Input(i, _) = rex
            && let Some(at) = part.places[*i]
        {
            return Ok(at);
        }
        let column = self.column_of(part, rex)?.into_owned();
        part.relation.columns.push(column);
        Ok(part.relation.columns.len() - 1)
    }

    /// Outer, semi and anti joins of two relations.
    async fn one_sided(&self, left: &Rel, right: &Rel, kind: RelJoin, on: &Rex) -> Result<Relation> {
        let sides = self.sides(left, right, kind, on).await?;
        self.join_sides(&sides, &sides.left)
    }

    /// Runs both sides of a join and tells its keys from the rest of its condition.
    async fn sides(&self, left: &Rel, right: &Rel, kind: RelJoin, on: &Rex) -> Result<Sides> {
        let width = left.fields.len();
        let total = width + right.fields.len();
        let only = |rex: &Rex, from, to| crate::plan::reads_only(rex, from, to) && rex.any(&|n| matches!(n, Rex::Input(..)));
        let mut parts = Vec::new();
        on.clone().conjuncts(&mut parts);
        let (mut left_keys, mut right_keys, mut safe, mut rest) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            let pair = match &part {
                Rex::Call { op: "=" | "IS NOT DISTINCT FROM", args, .. } => match (&args[0], &args[1]) {
                    (a, b) if only(a, 0, width) && only(b, width, total) => Some((a.clone(), b.clone())),
                    (b, a) if only(a, 0, width) && only(b, width, total) => Some((a.clone(), b.clone())),
                    _ => None,
                },
                _ => None,
            };
            match pair {
                Some((l, r)) => {
                    safe.push(matches!(&part, Rex::Call { op: "IS NOT DISTINCT FROM", .. }));
                    left_keys.push(l);
                    right_keys.push(r.shifted(-(width as isize)));
                }
                None => rest.push(part),
            }
        }
        let ((l, l_places), (r, r_places)) = self.narrowed(left, right, kind, (&left_keys, &right_keys), &safe).await?;
        let keys: Vec<JoinKey> = l_places
            .iter()
            .zip(&r_places)
            .zip(&safe)
            .map(|((left, right), null_safe)| JoinKey { left: *left, right: *right, null_safe: *null_safe })
            .collect();
        let residual = (!rest.is_empty()).then(|| Rex::and_all(rest));
        Ok(Sides { left: l, right: r, keys, kind, residual, width, total })
    }

    /// Joins some rows of the left side with the right one.
    fn join_sides(&self, sides: &Sides, l: &Relation) -> Result<Relation> {
        let Sides { right: r, keys, kind, width, total, .. } = sides;
        let (width, total) = (*width, *total);
        let join_type = match kind {
            RelJoin::Inner => JoinType::Inner,
            RelJoin::Left => JoinType::Left,
            RelJoin::Right => JoinType::Right,
            RelJoin::Full => JoinType::Full,
            RelJoin::Semi => JoinType::Semi,
            RelJoin::Anti => JoinType::Anti,
        };
        let residual = sides.residual.clone().unwrap_or_else(|| Rex::boolean(true));
        let trim =
            |relation: &Relation, count: usize| Relation { columns: relation.columns[..count].to_vec(), rows: relation.rows };
        let mut read = Vec::new();
        residual.inputs_used(&mut read);
        let test = |a: &[u32], b: &[u32]| -> Result<Vec<bool>> {
            let column = |i: usize| match i.checked_sub(width) {
                _ if !read.contains(&i) => Vector::Null { len: a.len() },
                None => l.columns[i].gather(a),
                Some(i) => r.columns[i].gather(b),
            };
            self.holds(&residual, &Relation { columns: (0..total).map(column).collect(), rows: a.len() })
        };
        let room = Room::of(self.runner.context(self.eval.clone()).budget(), l, r);
        let joined = join_within(room, l, r, join_type, keys, if sides.residual.is_none() { None } else { Some(&test) })?;
        // The key columns made for the join are dropped again.
        if kind.left_only() {
            return Ok(trim(&joined, width));
        }
        let l_count = l.columns.len();
        let columns =
            joined.columns.into_iter().enumerate().filter(|(i, _)| *i < width || (*i >= l_count && *i < l_count + total - width));
        Ok(Relation { columns: columns.map(|(_, c)| c).collect(), rows: joined.rows })
    }

    /// Both sides with their key columns; the side that may lose rows without a match is read after the other one, if that
    /// is smaller, and only as far as it matches.
    async fn narrowed(
        &self,
        left: &Rel,
        right: &Rel,
        kind: RelJoin,
        (left_keys, right_keys): (&[Rex], &[Rex]),
        safe: &[bool],
    ) -> Result<(Keyed, Keyed)> {
        let may_narrow = !left_keys.is_empty() && kind != RelJoin::Full && !safe.contains(&true);
        if !may_narrow {
            return Ok((self.with_columns(left, left_keys.iter()).await?, self.with_columns(right, right_keys.iter()).await?));
        }
        let tables = self.table_rows(&[left, right]).await?;
        let (l, r) = (estimate(left, &tables), estimate(right, &tables));
        let right_first = kind == RelJoin::Right || kind == RelJoin::Semi && r.rows < l.rows;
        if right_first {
            let keyed = self.with_columns(right, right_keys.iter()).await?;
            let narrowed = matched(left, left_keys, &keyed, l.rows, right_keys);
            return Ok((self.with_columns(narrowed.as_ref().unwrap_or(left), left_keys.iter()).await?, keyed));
        }
        let keyed = self.with_columns(left, left_keys.iter()).await?;
        let narrowed = matched(right, right_keys, &keyed, r.rows, left_keys);
        let other = self.with_columns(narrowed.as_ref().unwrap_or(right), right_keys.iter()).await?;
        Ok((keyed, other))
    }
}

/// Both sides of an outer, semi or anti join, with columns for its keys.
struct Sides {
    left: Relation,
    right: Relation,
    keys: Vec<JoinKey>,
    kind: RelJoin,
    /// What the keys do not say of the condition.
    residual: Option<Rex>,
    /// Columns of the left side, and of both, without those made for keys.
    width: usize,
    total: usize,
}

/// Rows of a piece of a join's left side: few enough for its result to be small, where every row meets every other; else enough that
/// the table made of the right side for each piece costs less than the piece.
fn piece_rows(left: usize, right: usize, is_product: bool) -> usize {
    let rows = if is_product { PRODUCT_ROWS / right.max(1) } else { PIECE_ROWS.max(right / 2) };
    rows.clamp(1, left.max(1))
}

/// Rows and where the key columns stand in them.
type Keyed = (Relation, Vec<usize>);

/// The rows whose keys may be among those of the other side, when that has far fewer.
fn matched(rel: &Rel, keys: &[Rex], (other, places): &Keyed, expected: f64, other_keys: &[Rex]) -> Option<Rel> {
    if other.rows as f64 > expected * 0.5 {
        return None;
    }
    let mut filters = Vec::new();
    for ((key, place), its) in keys.iter().zip(places).zip(other_keys) {
        filters.extend(among_those(key, its.sql_type(), &other.columns[*place]));
    }
    (!filters.is_empty()).then(|| push_filters(&rel.clone().filter(Rex::and_all(filters))))
}

/// Equalities of one relation with another single one: its own expression, the other's, the other's number.
fn neighbours(at: usize, conditions: &[Condition]) -> Vec<(&Rex, &Rex, usize)> {
    let mut out = Vec::new();
    for condition in conditions {
        let Some(Equal { sides: [a, b], null_safe: false }) = &condition.equal else { continue };
        for (own, its) in [(a, b), (b, a)] {
            if own.1 == 1 << at && its.1.count_ones() == 1 {
                out.push((&own.0, &its.0, its.1.trailing_zeros() as usize));
            }
        }
    }
    out
}

/// An expression over a group's columns as one over those of a part.
fn over_part(rex: &Rex, places: &[Option<usize>]) -> Rex {
    rex.clone().map(&mut |node| match node {
        Rex::Input(i, t) => match places.get(i).copied().flatten() {
            Some(at) => Rex::Input(at, t),
            None => Rex::null(t),
        },
        other => other,
    })
}

/// The needed columns of a part, and where they will stand when put after `before` others.
fn kept<'p>(part: &'p Part, needed: &[bool], before: usize) -> (Vec<&'p Vector>, Vec<Option<usize>>) {
    let mut places = vec![None; needed.len()];
    let mut columns = Vec::new();
    for (i, place) in part.places.iter().enumerate() {
        if let (Some(at), true) = (place, needed[i]) {
            places[i] = Some(before + columns.len());
            columns.push(&part.relation.columns[*at]);
        }
    }
    (columns, places)
}
