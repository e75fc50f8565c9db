//! Time functions (EXP-04): instants are longs of milliseconds. Periods, zones and patterns are compiled once where they
//! are constants.

use std::sync::Arc;

use ovate_base::granularity::{Granularity, PeriodGranularity};
use ovate_base::time::{Civil, DateTimePattern, Period, Zone, calendar, format_iso_in, parse_instant, parse_instant_in};
use ovate_base::{DruidError, Result};

use super::{Callable, Function, Output, closure, nullable, text};
use crate::context::EvalContext;
use crate::expr::batch::Operand;
use crate::value::Value;
use crate::vector::Vector;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::simple("timestamp", (1, 2), Output::Long, |args| Ok(nullable(parse_strict("timestamp", args)?))),
    Function::simple("unix_timestamp", (1, 2), Output::Long, |args| {
        Ok(nullable(parse_strict("unix_timestamp", args)?.map(|millis| millis.div_euclid(1000))))
    }),
    Function::prepared("timestamp_floor", (2, 4), Output::Long, |literals| bucketed(literals, false)),
    Function::prepared("timestamp_ceil", (2, 4), Output::Long, |literals| bucketed(literals, true)),
    Function::prepared("timestamp_shift", (3, 4), Output::Long, |literals| {
        let period = part(literals, 1, "period", parse_period)?;
        let zone = part(literals, 3, "time zone", zone_or_utc)?;
        Ok(closure(move |args, _| {
            let Some(millis) = args[0].as_long() else { return Ok(Value::Null) };
            // A Java int (`ExprEval.asInt`): null is 0, longer numbers wrap.
            let step = i64::from(args[2].as_long().unwrap_or(0) as i32);
            let Some(period) = period.get(args, 1, parse_period)? else { return Ok(Value::Null) };
            let zone = zone.get(args, 3, zone_or_utc)?.unwrap_or(Zone::UTC);
            Ok(Value::Long(period.add_to(millis, step, &zone)))
        }))
    }),
    Function::prepared("timestamp_extract", (2, 3), Output::Long, |literals| {
        let unit = match literals.get(1).copied().flatten().and_then(Value::as_text) {
            Some(name) => Unit::parse(&name)?,
            None => return Err(DruidError::invalid_input(" unit argument must be a literal")),
        };
        let zone = part(literals, 2, "time zone", zone_or_utc)?;
        Ok(Arc::new(Extract { unit, zone }))
    }),
    Function::prepared("timestamp_parse", (1, 3), Output::Long, |literals| {
        let pattern = part(literals, 1, "pattern", DateTimePattern::parse)?;
        let zone = part(literals, 2, "time zone", zone_or_utc)?;
        Ok(closure(move |args, _| {
            let Some(text) = text(args, 0) else { return Ok(Value::Null) };
            let zone = zone.get(args, 2, zone_or_utc)?.unwrap_or(Zone::UTC);
            let parsed = match pattern.get(args, 1, DateTimePattern::parse)? {
                Some(pattern) => pattern.parse_text(&text, &zone),
                // A blank may stand for the `T`.
                None => parse_instant_in(&text.replacen(' ', "T", 1), &zone),
            };
            Ok(nullable(parsed.ok()))
        }))
    }),
    Function::prepared("timestamp_format", (1, 3), Output::String, |literals| {
        let pattern = part(literals, 1, "pattern", DateTimePattern::parse)?;
        let zone = part(literals, 2, "time zone", zone_or_utc)?;
        Ok(closure(move |args, _| {
            let Some(millis) = args[0].as_long() else { return Ok(Value::Null) };
            let zone = zone.get(args, 2, zone_or_utc)?.unwrap_or(Zone::UTC);
            Ok(Value::from(match pattern.get(args, 1, DateTimePattern::parse)? {
                Some(pattern) => pattern.format(millis, &zone),
                None => format_iso_in(millis, &zone),
            }))
        }))
    }),
    Function::prepared("subtract_months", (3, 3), Output::Long, |literals| {
        let zone = part(literals, 2, "time zone", zone_or_utc)?;
        Ok(closure(move |args, _| {
            let (Some(left), Some(right)) = (args[0].as_long(), args[1].as_long()) else { return Ok(Value::Null) };
            let zone = zone.get(args, 2, zone_or_utc)?.unwrap_or(Zone::UTC);
            Ok(Value::Long(calendar::months_between(zone.to_local(left), zone.to_local(right))))
        }))
    }),
    Function::prepared("now", (0, 0), Output::Long, |_| Ok(closure(|_, context| Ok(Value::Long(context.now_ms))))).volatile(),
];

/// An argument compiled from a literal, or once a row when it is none.
enum Part<T> {
    Fixed(Option<T>),
    Each,
}

impl<T: Clone> Part<T> {
    fn get(&self, args: &[Value], index: usize, parse: fn(&str) -> Result<T>) -> Result<Option<T>> {
        match self {
            Part::Fixed(value) => Ok(value.clone()),
            Part::Each => text(args, index).map(|text| parse(&text)).transpose(),
        }
    }
}

fn part<T>(literals: &[Option<&Value>], index: usize, what: &str, parse: fn(&str) -> Result<T>) -> Result<Part<T>> {
    match literals.get(index) {
        None => Ok(Part::Fixed(None)),
        Some(None) => Ok(Part::Each),
        Some(Some(value)) => {
            let parsed = value.as_text().map(|text| parse(&text)).transpose();
            Ok(Part::Fixed(parsed.map_err(|error| error.prefixed(format!(" {what}")))?))
        }
    }
}

/// A zone that nobody knows is UTC (`DateTimes.inferTzFromString`).
fn zone_or_utc(text: &str) -> Result<Zone> {
    Ok(Zone::parse(text).unwrap_or(Zone::UTC))
}

fn parse_period(text: &str) -> Result<Period> {
    Period::parse(text)
}

fn parse_strict(name: &str, args: &[Value]) -> Result<Option<i64>> {
    let value = match &args[0] {
        Value::Null => return Ok(None),
        Value::String(text) => text,
        other => {
            let kind = other.value_type().map(|t| t.to_string()).unwrap_or_default();
            return Err(DruidError::invalid_input(format!(
                "Function[{name}] first argument should be a STRING but got {kind} instead"
            )));
        }
    };
    let parsed = match text(args, 1) {
        Some(pattern) => DateTimePattern::parse(&pattern)?.parse_text(value, &Zone::UTC),
        None => parse_instant(value),
    };
    parsed.map(Some).map_err(|_| DruidError::invalid_input(format!("Function[{name}] invalid value {value}")))
}

/// `timestamp_floor(t, period, origin, zone)` and `timestamp_ceil`.
fn bucketed(literals: &[Option<&Value>], ceil: bool) -> Result<Arc<dyn Callable>> {
    let fixed = literals.iter().skip(1).all(Option::is_some);
    let granularity = if fixed {
        let rest: Vec<Value> = literals.iter().skip(1).map(|l| l.cloned().unwrap_or_default()).collect();
        Some(granularity(&rest)?)
    } else {
        None
    };
    Ok(Arc::new(Bucketed { granularity, ceil }))
}

fn granularity(args: &[Value]) -> Result<Granularity> {
    let period = text(args, 0).ok_or_else(|| DruidError::invalid_input("period must not be null"))?;
    let zone = text(args, 2).map_or(Ok(Zone::UTC), |zone| zone_or_utc(&zone))?;
    let origin = match args.get(1) {
        None | Some(Value::Null) => None,
        Some(Value::Long(millis)) => Some(*millis),
        Some(other) => {
            let text = other.as_text().unwrap_or_default();
            Some(crate::value::parse_long(&text).map_or_else(|| parse_instant_in(&text, &zone), Ok)?)
        }
    };
    Ok(Granularity::Period(PeriodGranularity::new(Period::parse(&period)?, zone, origin)?))
}

struct Bucketed {
    granularity: Option<Granularity>,
    ceil: bool,
}

impl Bucketed {
    fn one(&self, granularity: &Granularity, millis: i64) -> i64 {
        let start = granularity.bucket_start(millis);
        if self.ceil && start != millis { granularity.increment(start) } else { start }
    }
}

impl Callable for Bucketed {
    fn call(&self, args: &[Value], _context: &EvalContext) -> Result<Value> {
        let Some(millis) = args[0].as_long() else { return Ok(Value::Null) };
        match &self.granularity {
            Some(granularity) => Ok(Value::Long(self.one(granularity, millis))),
            None if args[1].is_null() => Ok(Value::Null),
            None => Ok(Value::Long(self.one(&granularity(&args[1..])?, millis))),
        }
    }
    fn batch(&self, args: &[Operand], _len: usize) -> Result<Option<Vector>> {
        let (Operand::Vector(vector), Some(granularity)) = (&args[0], &self.granularity) else { return Ok(None) };
        let Vector::Long { values, nulls } = vector.as_ref() else { return Ok(None) };
        let mut starts = Vec::new();
        if self.ceil {
            starts.extend(values.iter().map(|millis| self.one(granularity, *millis)));
        } else {
            granularity.bucket_starts(values, &mut starts);
        }
        Ok(Some(Vector::Long { values: starts, nulls: nulls.clone() }))
    }
    fn time_step(&self) -> Option<Granularity> {
        // What is rounded up changes just after the start of a bucket.
        self.granularity.clone().filter(|_| !self.ceil)
    }
}

/// What `timestamp_extract` takes out.
#[derive(Clone, Copy)]
enum Unit {
    Epoch,
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    DayOfWeek,
    DayOfYear,
    Week,
    Month,
    Quarter,
    Year,
    IsoDayOfWeek,
    IsoYear,
    Decade,
    Century,
    Millennium,
}

impl Unit {
    fn parse(name: &str) -> Result<Unit> {
        Ok(match name.to_ascii_uppercase().as_str() {
            "EPOCH" => Unit::Epoch,
            "MICROSECOND" => Unit::Microsecond,
            "MILLISECOND" => Unit::Millisecond,
            "SECOND" => Unit::Second,
            "MINUTE" => Unit::Minute,
            "HOUR" => Unit::Hour,
            "DAY" => Unit::Day,
            "DOW" => Unit::DayOfWeek,
            "ISODOW" => Unit::IsoDayOfWeek,
            "DOY" => Unit::DayOfYear,
            "WEEK" => Unit::Week,
            "MONTH" => Unit::Month,
            "QUARTER" => Unit::Quarter,
            "YEAR" => Unit::Year,
            "ISOYEAR" => Unit::IsoYear,
            "DECADE" => Unit::Decade,
            "CENTURY" => Unit::Century,
            "MILLENNIUM" => Unit::Millennium,
            _ => return Err(DruidError::invalid_input(format!(" unhandled unit[{name}]"))),
        })
    }

    fn of(self, millis: i64, zone: &Zone) -> i64 {
        if let Unit::Epoch = self {
            return millis.div_euclid(1000);
        }
        let civil = Civil::from_millis(zone.to_local(millis));
        match self {
            Unit::Epoch => millis.div_euclid(1000),
            Unit::Microsecond => i64::from(civil.milli) * 1000,
            Unit::Millisecond => i64::from(civil.milli),
            Unit::Second => i64::from(civil.second),
            Unit::Minute => i64::from(civil.minute),
            Unit::Hour => i64::from(civil.hour),
            Unit::Day => i64::from(civil.day),
            Unit::DayOfWeek | Unit::IsoDayOfWeek => i64::from(civil.day_of_week()),
            Unit::DayOfYear => i64::from(civil.day_of_year()),
            Unit::Week => i64::from(civil.week().1),
            Unit::Month => i64::from(civil.month),
            Unit::Quarter => (i64::from(civil.month) - 1) / 3 + 1,
            // Druid's ISOYEAR is the calendar year, not that of the ISO week.
            Unit::Year | Unit::IsoYear => civil.year,
            Unit::Decade => civil.year.div_euclid(10),
            // Years 1 to 100 are the first century.
            Unit::Century => (civil.year + 99).div_euclid(100),
            Unit::Millennium => (civil.year + 999).div_euclid(1000),
        }
    }

    /// A period within which the unit keeps its value.
    fn step(self) -> Option<Period> {
        Some(match self {
            Unit::Microsecond | Unit::Millisecond => return None,
            Unit::Epoch | Unit::Second => Period::seconds(1),
            Unit::Minute => Period::minutes(1),
            Unit::Hour => Period::hours(1),
            Unit::Day | Unit::DayOfWeek | Unit::IsoDayOfWeek | Unit::DayOfYear | Unit::Week => Period::days(1),
            Unit::Month | Unit::Quarter => Period::months(1),
            Unit::Year | Unit::IsoYear | Unit::Decade | Unit::Century | Unit::Millennium => Period::years(1),
        })
    }

    /// True for parts of a day.
    fn is_of_day(self) -> bool {
        matches!(self, Unit::Epoch | Unit::Microsecond | Unit::Millisecond | Unit::Second | Unit::Minute | Unit::Hour)
    }
}

struct Extract {
    unit: Unit,
    zone: Part<Zone>,
}

impl Callable for Extract {
    fn call(&self, args: &[Value], _context: &EvalContext) -> Result<Value> {
        let Some(millis) = args[0].as_long() else { return Ok(Value::Null) };
        let zone = self.zone.get(args, 2, zone_or_utc)?.unwrap_or(Zone::UTC);
        Ok(Value::Long(self.unit.of(millis, &zone)))
    }
    fn batch(&self, args: &[Operand], _len: usize) -> Result<Option<Vector>> {
        let (Operand::Vector(vector), Part::Fixed(zone)) = (&args[0], &self.zone) else { return Ok(None) };
        let Vector::Long { values, nulls } = vector.as_ref() else { return Ok(None) };
        let zone = zone.clone().unwrap_or(Zone::UTC);
        let mut fields = Fields { unit: self.unit, zone, quarter: i64::MIN, offset: 0, day: i64::MIN, of_day: 0 };
        Ok(Some(Vector::Long { values: values.iter().map(|millis| fields.of(*millis)).collect(), nulls: nulls.clone() }))
    }
    fn time_step(&self) -> Option<Granularity> {
        let Part::Fixed(zone) = &self.zone else { return None };
        let zone = zone.clone().unwrap_or(Zone::UTC);
        // Where clocks change, hours need not be whole.
        let steady = zone == Zone::UTC || !self.unit.is_of_day();
        let period = self.unit.step().filter(|_| steady)?;
        PeriodGranularity::new(period, zone, None).ok().map(Granularity::Period)
    }
}

/// Takes a unit out of many instants. Remembers the zone's offset for a quarter of an hour, within which no zone changes it,
/// and the fields of the last day: rows of a table are mostly near each other.
struct Fields {
    unit: Unit,
    zone: Zone,
    quarter: i64,
    offset: i64,
    day: i64,
    of_day: i64,
}

impl Fields {
    fn of(&mut self, millis: i64) -> i64 {
        if let Unit::Epoch = self.unit {
            return millis.div_euclid(1000);
        }
        let quarter = millis.div_euclid(900_000);
        if quarter != self.quarter {
            self.quarter = quarter;
            // Offsets of years long past have odd seconds; those go the slow way.
            self.offset = self.zone.offset_ms(quarter * 900_000);
            if self.offset % 60_000 != 0 {
                self.quarter = i64::MIN;
                return self.unit.of(millis, &self.zone);
            }
        }
        let local = millis.wrapping_add(self.offset);
        let (day, rest) = (local.div_euclid(calendar::DAY), local.rem_euclid(calendar::DAY));
        match self.unit {
            Unit::Hour => rest / calendar::HOUR,
            Unit::Minute => rest / calendar::MINUTE % 60,
            Unit::Second => rest / calendar::SECOND % 60,
            Unit::Millisecond => rest % calendar::SECOND,
            Unit::Microsecond => rest % calendar::SECOND * 1000,
            _ => {
                if day != self.day {
                    self.day = day;
                    self.of_day = self.unit.of(millis, &self.zone);
                }
                self.of_day
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn fields_of_many_instants_are_those_of_each() {
        let mut rng = StdRng::seed_from_u64(7);
        for zone in ["UTC", "America/Los_Angeles", "Asia/Kathmandu", "+05:30"] {
            let zone = Zone::parse(zone).unwrap();
            for name in
                ["HOUR", "MINUTE", "SECOND", "DAY", "DOW", "WEEK", "MONTH", "YEAR", "DOY", "QUARTER", "MILLISECOND", "EPOCH"]
            {
                let unit = Unit::parse(name).unwrap();
                let mut fields = Fields { unit, zone: zone.clone(), quarter: i64::MIN, offset: 0, day: i64::MIN, of_day: 0 };
                let mut millis: i64 = 1_699_000_000_000;
                for _ in 0..2_000 {
                    millis += rng.random_range(-3_000_000..4_000_000);
                    assert_eq!(fields.of(millis), unit.of(millis, &zone), "{name} {millis} {zone}");
                }
            }
        }
    }
}
