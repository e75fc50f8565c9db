//! The moments sketch as Druid's extension stores it (`MomentSketchWrapper`): smallest and largest value and sums of powers, from
//! which quantiles are read off the distribution of most entropy that has these moments.
//!
//! Layout, big endian: `i32` number of sums, `i32` 1 when values went through arsinh, `f64` smallest, `f64` largest, `f64` sums of
//! the powers 0, 1, 2, ….

use ovate_base::{DruidError, Result};

use super::damaged;

const KIND: &str = "momentSketch";
/// Sums beyond these say nothing in doubles; Druid's useful range ends at 20.
pub const SUMS_MAX: usize = 100;
/// Places at which the distribution is worked out, and steps of finding it.
const GRID: usize = 1024;
const STEPS_MAX: usize = 15;
const GRADIENT_SMALL: f64 = 1e-6;

/// Sums of powers of values.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    compress: bool,
    min: f64,
    max: f64,
    sums: Vec<f64>,
}

impl Moments {
    /// For this many powers; `compress` takes the arsinh of values first.
    pub fn new(powers: usize, compress: bool) -> Self {
        Moments { compress, min: f64::MAX, max: -f64::MAX, sums: vec![0.0; powers] }
    }

    /// Adds a value.
    pub fn add(&mut self, raw: f64) {
        let value = if self.compress { (raw + (1.0 + raw * raw).sqrt()).ln() } else { raw };
        if value < self.min {
            self.min = value;
        }
        if value > self.max {
            self.max = value;
        }
        let mut power = 1.0;
        for sum in &mut self.sums {
            *sum += power;
            power *= value;
        }
    }

    /// Adds another's sums, which must be of the same kind.
    pub fn merge(&mut self, other: &Moments) -> Result<()> {
        if other.count() == 0.0 {
            return Ok(());
        }
        if other.compress != self.compress || other.sums.len() < self.sums.len() {
            return Err(DruidError::invalid_input(format!(
                "momentSketches of different settings do not merge. k={} compress={} other_k={} other_compress={}",
                self.sums.len(),
                self.compress,
                other.sums.len(),
                other.compress
            )));
        }
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sums.iter_mut().zip(&other.sums).for_each(|(own, theirs)| *own += theirs);
        Ok(())
    }

    /// How many values.
    pub fn count(&self) -> f64 {
        self.sums.first().copied().unwrap_or(0.0)
    }

    fn raw(&self, value: f64) -> f64 {
        if self.compress { value.sinh() } else { value }
    }

    /// The smallest value.
    pub fn min(&self) -> f64 {
        self.raw(self.min)
    }

    /// The largest value.
    pub fn max(&self) -> f64 {
        self.raw(self.max)
    }

    /// The values of these ranks (0 to 1); NaN of none.
    pub fn quantiles(&self, fractions: &[f64]) -> Vec<f64> {
        if self.count() <= 0.0 {
            return vec![f64::NAN; fractions.len()];
        }
        if self.max <= self.min {
            return vec![self.raw(self.min); fractions.len()];
        }
        let (center, half) = ((self.max + self.min) / 2.0, (self.max - self.min) / 2.0);
        let weights = most_entropy(&self.chebyshev_moments(center, half));
        let mut ranks = vec![0.0; GRID];
        for at in 1..GRID {
            ranks[at] = ranks[at - 1] + weights[at];
        }
        let place = |at: usize| self.raw(grid(at) * half + center);
        let of = |fraction: &f64| place(ranks.iter().position(|rank| rank >= fraction).unwrap_or(GRID - 1));
        fractions.iter().map(of).collect()
    }

    /// The means of Chebyshev's polynomials of the values, moved to -1 to 1.
    fn chebyshev_moments(&self, center: f64, half: f64) -> Vec<f64> {
        let powers = self.sums.len();
        // Sums of powers of the moved values, by the binomial theorem.
        let mut row = vec![0.0; powers];
        let mut moved = Vec::with_capacity(powers);
        for power in 0..powers {
            // The next row of Pascal's triangle.
            for at in (1..=power).rev() {
                row[at] += row[at - 1];
            }
            row[0] = 1.0;
            let term = |at: usize| row[at] * (-center).powi((power - at) as i32) * self.sums[at];
            moved.push((0..=power).map(term).sum::<f64>() / half.powi(power as i32));
        }
        let (mut before, mut last) = (vec![0.0; powers], vec![0.0; powers]);
        let mut means = Vec::with_capacity(powers);
        for degree in 0..powers {
            let mut next = vec![0.0; powers];
            match degree {
                0 => next[0] = 1.0,
                1 => next[1] = 1.0,
                _ => (0..powers).for_each(|at| {
                    let raised: f64 = if at == 0 { 0.0 } else { last[at - 1] };
                    next[at] = 2.0 * raised - before[at];
                }),
            }
            means.push(next.iter().zip(&moved).map(|(factor, sum)| factor * sum).sum::<f64>() / self.count());
            before = std::mem::replace(&mut last, next);
        }
        means
    }

    /// The bytes that Druid stores.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24 + 8 * self.sums.len());
        out.extend_from_slice(&(self.sums.len() as i32).to_be_bytes());
        out.extend_from_slice(&i32::from(self.compress).to_be_bytes());
        for number in [self.min, self.max].iter().chain(&self.sums) {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out
    }

    /// Reads bytes that nobody vouches for.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let short = || damaged(KIND, "it ends too early");
        let (powers, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
        let (compress, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let powers = i32::from_be_bytes(*powers);
        if !(1..=SUMS_MAX as i32).contains(&powers) {
            return Err(damaged(KIND, format!("{powers} sums")));
        }
        if rest.len() < 8 * (powers as usize + 2) {
            return Err(short());
        }
        let mut numbers = rest.chunks_exact(8).map(|eight| f64::from_be_bytes(eight.try_into().expect("eight bytes")));
        let mut next = || numbers.next().unwrap_or(0.0);
        let (min, max) = (next(), next());
        let sums = (0..powers).map(|_| next()).collect();
        Ok(Moments { compress: i32::from_be_bytes(*compress) > 0, min, max, sums })
    }

    /// Bytes it holds.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Moments>() + 8 * self.sums.len()
    }
}

/// A place of the grid, -1 to 1.
fn grid(at: usize) -> f64 {
    at as f64 * 2.0 / (GRID - 1) as f64 - 1.0
}

/// Weights of the grid's places whose Chebyshev moments are these, found by Newton's method on the dual problem
/// (<https://arxiv.org/abs/1803.01969>, `MomentSolver`).
fn most_entropy(moments: &[f64]) -> Vec<f64> {
    let mut polynomials: Vec<Vec<f64>> = vec![vec![1.0; GRID], (0..GRID).map(grid).collect()];
    for degree in 2..2 * moments.len() {
        let next = (0..GRID).map(|at| 2.0 * grid(at) * polynomials[degree - 1][at] - polynomials[degree - 2][at]).collect();
        polynomials.push(next);
    }
    let mut factors = vec![0.0; moments.len()];
    factors[0] = (1.0 / GRID as f64).ln();
    let mut state = Dual::at(&factors, moments, &polynomials);
    for _ in 0..STEPS_MAX {
        let error = state.gradient.iter().map(|g| g * g).sum::<f64>() / moments.len() as f64;
        if error < GRADIENT_SMALL * GRADIENT_SMALL || !error.is_finite() {
            break;
        }
        let Some(step) = solve(&state.hessian, &state.gradient) else { break };
        // The step goes down: its product with the gradient is negative.
        let slope = -step.iter().zip(&state.gradient).map(|(s, g)| s * g).sum::<f64>();
        let mut scale = 1.0;
        let (next, next_state) = loop {
            let next: Vec<f64> = factors.iter().zip(&step).map(|(factor, step)| factor - scale * step).collect();
            let next_state = Dual::at(&next, moments, &polynomials);
            let near = slope * slope <= GRADIENT_SMALL * GRADIENT_SMALL;
            let enough = state.value + 0.3 * scale * slope - next_state.value >= -GRADIENT_SMALL;
            if near || enough || scale < 1e-3 {
                break (next, next_state);
            }
            scale *= 0.25;
        };
        (factors, state) = (next, next_state);
    }
    state.weights
}

/// The dual problem's value, slope and curvature at some factors.
struct Dual {
    value: f64,
    gradient: Vec<f64>,
    hessian: Vec<Vec<f64>>,
    weights: Vec<f64>,
}

impl Dual {
    fn at(factors: &[f64], moments: &[f64], polynomials: &[Vec<f64>]) -> Dual {
        let exponent = |at: usize| factors.iter().zip(polynomials).map(|(factor, values)| factor * values[at]).sum::<f64>();
        let weights: Vec<f64> = (0..GRID).map(|at| exponent(at).exp()).collect();
        let mean = |values: &Vec<f64>| values.iter().zip(&weights).map(|(value, weight)| value * weight).sum::<f64>();
        let means: Vec<f64> = polynomials.iter().map(mean).collect();
        let value = means[0] - factors.iter().zip(moments).map(|(factor, moment)| factor * moment).sum::<f64>();
        let gradient = moments.iter().zip(&means).map(|(moment, mean)| mean - moment).collect();
        // A product of two of Chebyshev's polynomials is the mean of two others.
        let curve = |i: usize, j: usize| 0.5 * (means[i + j] + means[i.abs_diff(j)]);
        let hessian = (0..moments.len()).map(|i| (0..moments.len()).map(|j| curve(i, j)).collect()).collect();
        Dual { value, gradient, hessian, weights }
    }
}

/// Solves a symmetric system by Cholesky's method; one that is not quite positive is lifted until it is.
fn solve(matrix: &[Vec<f64>], right: &[f64]) -> Option<Vec<f64>> {
    let largest = (0..matrix.len()).map(|i| matrix[i][i].abs()).fold(0.0, f64::max);
    let lifts = std::iter::once(0.0).chain((-14..0).map(|exponent| largest * 10f64.powi(exponent)));
    lifts.into_iter().find_map(|lift| cholesky(matrix, right, lift))
}

fn cholesky(matrix: &[Vec<f64>], right: &[f64], lift: f64) -> Option<Vec<f64>> {
    let size = right.len();
    let mut lower = vec![vec![0.0; size]; size];
    for i in 0..size {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| lower[i][k] * lower[j][k]).sum();
            if i == j {
                let square = matrix[i][i] + lift - known;
                if !(square > 0.0 && square.is_finite()) {
                    return None;
                }
                lower[i][i] = square.sqrt();
            } else {
                lower[i][j] = (matrix[i][j] - known) / lower[j][j];
            }
        }
    }
    let mut half = vec![0.0; size];
    for i in 0..size {
        let known: f64 = (0..i).map(|k| lower[i][k] * half[k]).sum();
        half[i] = (right[i] - known) / lower[i][i];
    }
    let mut solution = vec![0.0; size];
    for i in (0..size).rev() {
        let known: f64 = (i + 1..size).map(|k| lower[k][i] * solution[k]).sum();
        solution[i] = (half[i] - known) / lower[i][i];
    }
    solution.iter().all(|value| value.is_finite()).then_some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl Iterator<Item = f64>, powers: usize, compress: bool) -> Moments {
        let mut moments = Moments::new(powers, compress);
        values.for_each(|value| moments.add(value));
        moments
    }

    #[test]
    fn quantiles_of_even_values_are_near() {
        let moments = of((0..=1000).map(f64::from), 8, false);
        for (fraction, found) in [0.1, 0.5, 0.9].iter().zip(moments.quantiles(&[0.1, 0.5, 0.9])) {
            assert!((found - 1000.0 * fraction).abs() < 5.0, "{fraction}: {found}");
        }
        assert_eq!((moments.min(), moments.max(), moments.count()), (0.0, 1000.0, 1001.0));
    }

    #[test]
    fn quantiles_of_a_long_tail_are_near_when_compressed() {
        // Ranks of an exponential distribution.
        let value = |rank: f64| -(1.0 - rank).ln() * 100.0;
        let moments = of((0..10_000).map(|i| value((f64::from(i) + 0.5) / 10_000.0)), 13, true);
        for (fraction, found) in [0.25, 0.5, 0.75, 0.95].iter().zip(moments.quantiles(&[0.25, 0.5, 0.75, 0.95])) {
            assert!((found - value(*fraction)).abs() < 0.03 * value(*fraction), "{fraction}: {found}");
        }
    }

    #[test]
    fn parts_merge_to_the_whole_and_bytes_are_read_back() {
        let whole = of((0..100).map(f64::from), 5, false);
        let mut merged = of((0..40).map(f64::from), 5, false);
        let part = of((40..100).map(f64::from), 5, false);
        merged.merge(&Moments::from_bytes(&part.to_bytes()).unwrap()).unwrap();
        assert_eq!(merged, whole);
        assert!(merged.merge(&of([1.0].into_iter(), 5, true)).unwrap_err().message.contains("do not merge"));
        merged.merge(&Moments::new(3, true)).expect("one without values merges with any");
    }

    #[test]
    fn few_values_and_damaged_bytes_are_no_trouble() {
        assert!(Moments::new(4, false).quantiles(&[0.5])[0].is_nan());
        let moments = of([7.0].into_iter(), 4, false);
        assert_eq!(moments.quantiles(&[0.0, 0.5]), [7.0, 7.0]);
        let two = of([1.0, 2.0].into_iter(), 13, false).quantiles(&[0.1, 0.9]);
        assert!(two.iter().all(|value| (1.0..=2.0).contains(value)), "{two:?}");
        let bytes = moments.to_bytes();
        for end in 0..bytes.len() {
            assert!(Moments::from_bytes(&bytes[..end]).is_err(), "cut at {end}");
        }
        let mut wild = Moments::from_bytes(&bytes).unwrap();
        wild.sums = vec![f64::NAN, f64::INFINITY, -1.0, 0.0];
        (wild.min, wild.max) = (f64::NEG_INFINITY, f64::INFINITY);
        assert_eq!(wild.quantiles(&[0.5]).len(), 1);
    }
}
