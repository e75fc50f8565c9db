//! Work over rows in memory on several threads: pieces are taken one after the other by whoever is free, results come in
//! the order of the pieces.

pub use ovate_query::on_threads;

/// Below this many values, threads cost more than they bring.
const WORTH_THREADS: usize = 200_000;

/// How many threads a piece of work over so many values gets.
pub fn threads_for(values: usize) -> usize {
    if values < WORTH_THREADS { 1 } else { std::thread::available_parallelism().map_or(1, |n| n.get()).min(16) }
}

#[cfg(test)]
mod tests {
    use ovate_base::DruidError;

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_pieces() {
        let squares = on_threads(100, 4, &|at| Ok(at * at)).expect("no piece fails");
        assert_eq!(squares, (0..100).map(|at| at * at).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_error_ends_the_work() {
        let failed = on_threads(50, 4, &|at| if at == 7 { Err(DruidError::runtime("seven")) } else { Ok(at) });
        assert!(failed.is_err_and(|e| e.to_string().contains("seven")));
    }
}
