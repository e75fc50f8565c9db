//! The state of hyperUnique and cardinality: most groups see few values, so observations are kept as they are until they
//! are many, and only then become a [`HyperLogLog`] of a kilobyte. Both ways give the same bytes.

use ovate_base::Result;
use smallvec::SmallVec;

use super::hyperloglog::{BYTES, HEADER, HyperLogLog, Observation, RANGE, V0_HEADER};

/// With more observations the collector takes over.
const FEW: usize = 24;

/// A collector that starts small.
#[derive(Debug, Clone)]
pub enum DistinctState {
    /// One observation a register, the highest.
    Few(SmallVec<[Observation; 4]>),
    Many(HyperLogLog),
}

impl Default for DistinctState {
    fn default() -> Self {
        DistinctState::Few(SmallVec::new())
    }
}

impl DistinctState {
    /// Adds an observed value.
    pub fn add(&mut self, observation: Observation) {
        let few = match self {
            DistinctState::Many(collector) => return collector.add(observation),
            DistinctState::Few(few) => few,
        };
        // The collector keeps a rank that does not fit by its own rules, which depend on the order.
        if observation.rank > RANGE {
            return self.many().add(observation);
        }
        match few.iter().position(|mine| mine.register == observation.register) {
            Some(index) => few[index].rank = few[index].rank.max(observation.rank),
            None if few.len() < FEW => few.push(observation),
            None => self.many().add(observation),
        }
    }

    /// The collector, made of the few when there was none.
    fn many(&mut self) -> &mut HyperLogLog {
        if let DistinctState::Few(few) = self {
            let mut collector = HyperLogLog::default();
            few.iter().for_each(|observation| collector.add(*observation));
            *self = DistinctState::Many(collector);
        }
        match self {
            DistinctState::Many(collector) => collector,
            DistinctState::Few(_) => unreachable!("the few were replaced above"),
        }
    }

    /// Adds all of a stored collector. Sparse ones are added entry by entry.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<()> {
        match sparse_entries(bytes) {
            Some(entries) => {
                for entry in entries.chunks_exact(3).filter(|entry| entry[2] != 0) {
                    let index = usize::from(u16::from_be_bytes([entry[0], entry[1]]));
                    if !(HEADER..HEADER + BYTES).contains(&index) {
                        self.many().fold(&HyperLogLog::from_bytes(bytes)?);
                        return Ok(());
                    }
                    let register = ((index - HEADER) * 2) as u16;
                    for (register, rank) in [(register, entry[2] >> 4), (register + 1, entry[2] & 0x0f)] {
                        if rank > 0 {
                            self.add(Observation { register, rank });
                        }
                    }
                }
            }
            None => self.many().fold(&HyperLogLog::from_bytes(bytes)?),
        }
        Ok(())
    }

    /// The stored bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let few = match self {
            DistinctState::Many(collector) => return collector.to_bytes(),
            DistinctState::Few(few) => few,
        };
        let mut few = few.clone();
        few.sort_unstable_by_key(|observation| observation.register);
        let mut bytes = vec![1, 0, 0, few.len() as u8, 0, 0, 0];
        let mut last = u16::MAX;
        for Observation { register, rank } in &few {
            let shift = if register & 1 == 0 { 4 } else { 0 };
            if register >> 1 != last {
                last = register >> 1;
                bytes.extend_from_slice(&(last + HEADER as u16).to_be_bytes());
                bytes.push(0);
            }
            if let Some(byte) = bytes.last_mut() {
                *byte |= rank << shift;
            }
        }
        bytes.resize(HEADER + few.len() * 3, 0);
        bytes
    }

    /// Bytes held besides the state itself.
    pub fn memory_bytes(&self) -> usize {
        match self {
            DistinctState::Few(few) if few.spilled() => few.capacity() * size_of::<Observation>(),
            DistinctState::Few(_) => 0,
            DistinctState::Many(_) => HyperLogLog::MEMORY,
        }
    }
}

/// The entries of a sparse collector of version 1 without offset and overflow.
fn sparse_entries(bytes: &[u8]) -> Option<&[u8]> {
    let is_version_0 = bytes.len().is_multiple_of(3) || bytes.len() == BYTES + V0_HEADER;
    let (header, entries) = bytes.split_at_checked(HEADER)?;
    let plain = !is_version_0 && header[1] == 0 && header[4] == 0;
    (plain && entries.len() != BYTES && entries.len().is_multiple_of(3)).then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_give_the_same_bytes() {
        for count in [0, 1, 2, 10, 24, 25, 26, 100, 1000, 50_000] {
            let values: Vec<Observation> = (0..count).map(|i: u32| Observation::of_bytes(&i.to_le_bytes())).collect();
            let mut collector = HyperLogLog::default();
            values.iter().for_each(|value| collector.add(*value));
            let mut state = DistinctState::default();
            values.iter().for_each(|value| state.add(*value));
            assert_eq!(state.to_bytes(), collector.to_bytes(), "{count}");
            // Merged in parts, as stored.
            let (mut merged, mut folded) = (DistinctState::default(), HyperLogLog::default());
            for part in values.chunks(17) {
                let mut part_of = DistinctState::default();
                part.iter().for_each(|value| part_of.add(*value));
                merged.merge(&part_of.to_bytes()).unwrap();
                folded.fold(&HyperLogLog::from_bytes(&part_of.to_bytes()).unwrap());
            }
            assert_eq!(merged.to_bytes(), folded.to_bytes(), "{count}");
        }
        assert!(DistinctState::default().merge(&[1, 0, 0, 1, 0, 0, 0, 255, 255, 1]).is_err());
    }
}
