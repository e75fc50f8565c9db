//! The proleptic Gregorian calendar on local milliseconds (Joda's `ISOChronology`), for any `i64`.

pub const SECOND: i64 = 1_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;
pub const WEEK: i64 = 7 * DAY;

/// Years outside are refused by Joda, because their milliseconds do not fit.
pub const YEAR_MIN: i64 = -292_275_054;
pub const YEAR_MAX: i64 = 292_278_993;

/// A local date and time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    pub milli: u32,
}

impl Civil {
    /// The fields of an instant in local milliseconds.
    pub fn from_millis(local: i64) -> Civil {
        let (days, rest) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let (year, month, day) = civil_from_days(days);
        Civil {
            year,
            month,
            day,
            hour: (rest / HOUR) as u32,
            minute: (rest / MINUTE % 60) as u32,
            second: (rest / SECOND % 60) as u32,
            milli: (rest % SECOND) as u32,
        }
    }

    /// Local milliseconds; saturates outside of Joda's years.
    pub fn to_millis(self) -> i64 {
        let time = self.hour as i64 * HOUR + self.minute as i64 * MINUTE + self.second as i64 * SECOND + self.milli as i64;
        days_from_civil(self.year, self.month, self.day).saturating_mul(DAY).saturating_add(time)
    }

    /// 1 to 366.
    pub fn day_of_year(self) -> u32 {
        (days_from_civil(self.year, self.month, self.day) - days_from_civil(self.year, 1, 1)) as u32 + 1
    }

    /// ISO: Monday is 1, Sunday is 7.
    pub fn day_of_week(self) -> u32 {
        day_of_week(days_from_civil(self.year, self.month, self.day))
    }

    /// ISO week year and week (1 to 53).
    pub fn week(self) -> (i64, u32) {
        let days = days_from_civil(self.year, self.month, self.day);
        let week_year = {
            let thursday = days - (day_of_week(days) as i64 - 4);
            civil_from_days(thursday).0
        };
        (week_year, ((days - first_week_start(week_year)) / 7) as u32 + 1)
    }
}

/// Days since 1970-01-01 of a date; `month` 1 to 12.
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month as i64 + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day as i64 - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The date of a day number since 1970-01-01.
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// ISO day of the week of a day number: Monday is 1.
pub fn day_of_week(days: i64) -> u32 {
    (days + 3).rem_euclid(7) as u32 + 1
}

/// The Monday that starts week 1 of an ISO week year, as a day number.
pub fn first_week_start(week_year: i64) -> i64 {
    let fourth = days_from_civil(week_year, 1, 4);
    fourth - (day_of_week(fourth) as i64 - 1)
}

/// 28 to 31.
pub fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// True when the year has a 29 February.
pub fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Adds months to local milliseconds; a day that the month does not have becomes its last day.
pub fn add_months(local: i64, months: i64) -> i64 {
    let mut civil = Civil::from_millis(local);
    let total = (civil.year * 12 + civil.month as i64 - 1).saturating_add(months);
    civil.year = total.div_euclid(12).clamp(YEAR_MIN - 1, YEAR_MAX + 1);
    civil.month = total.rem_euclid(12) as u32 + 1;
    civil.day = civil.day.min(days_in_month(civil.year, civil.month));
    civil.to_millis()
}

/// Whole months from `from` to `to` (both local), rounded towards zero as Joda's `getDifference` does.
pub fn months_between(to: i64, from: i64) -> i64 {
    if to < from {
        return -months_between(from, to);
    }
    let (a, b) = (Civil::from_millis(to), Civil::from_millis(from));
    let months = (a.year * 12 + a.month as i64) - (b.year * 12 + b.month as i64);
    if add_months(from, months) > to { months - 1 } else { months }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_survive_a_round_trip() {
        for days in (-800_000..800_000).step_by(13).chain([-100_000_000_000, 100_000_000_000]) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }

    #[test]
    fn iso_weeks_cross_years() {
        let civil = Civil { year: 2021, month: 1, day: 3, hour: 0, minute: 0, second: 0, milli: 0 };
        assert_eq!(civil.week(), (2020, 53));
        assert_eq!(civil.day_of_week(), 7);
    }

    #[test]
    fn extreme_instants_do_not_panic() {
        for millis in [i64::MIN, i64::MAX, 0, -1] {
            let civil = Civil::from_millis(millis);
            civil.to_millis();
            civil.week();
            add_months(millis, 1);
            add_months(millis, i64::MAX);
        }
    }
}
