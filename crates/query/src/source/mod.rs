//! Tables made of other tables: what the broker puts between a query and its segments (DSRC-03, 07, 08).
