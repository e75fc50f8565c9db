//! `spatial` filters (FLT-18, `SpatialFilter`): points of a spatial dimension, whose values are coordinates with commas between
//! them, within a rectangle, a circle or a polygon. Each dictionary value is looked at once.

use ovate_base::{DruidError, Result};
use serde_json::{Value as Json, json};

use crate::doc::Doc;

/// Mean radius of the earth in metres, as Druid has it.
const EARTH_METERS: f64 = 6_371_000.0;

/// Where points must lie (`Bound`).
#[derive(Debug, Clone, PartialEq)]
pub enum SpatialBound {
    /// Between these coordinates, ends included.
    Rectangular { min: Vec<f32>, max: Vec<f32> },
    /// Not further than this from the coordinates: as numbers, or along the earth with latitude and longitude in degrees.
    Radius { coords: Vec<f32>, radius: f32, unit: RadiusUnit },
    /// In a polygon of the plane, borders included.
    Polygon { abscissa: Vec<f64>, ordinate: Vec<f64> },
}

/// `RadiusUnit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RadiusUnit {
    Euclidean,
    Meters,
    Miles,
    Kilometers,
}

impl RadiusUnit {
    const ALL: [(RadiusUnit, &'static str, f32); 4] = [
        (RadiusUnit::Euclidean, "euclidean", 1.0),
        (RadiusUnit::Meters, "meters", 1.0),
        (RadiusUnit::Miles, "miles", 1609.344),
        (RadiusUnit::Kilometers, "kilometers", 1000.0),
    ];

    fn entry(self) -> (&'static str, f32) {
        let [euclidean, meters, miles, kilometers] = Self::ALL.map(|(_, name, factor)| (name, factor));
        match self {
            RadiusUnit::Euclidean => euclidean,
            RadiusUnit::Meters => meters,
            RadiusUnit::Miles => miles,
            RadiusUnit::Kilometers => kilometers,
        }
    }
}

impl SpatialBound {
    /// Reads a bound document.
    pub fn from_json(json: &Json) -> Result<Self> {
        let doc = Doc::new("spatial bound", json)?;
        let numbers = |name: &str| -> Result<Vec<f64>> {
            let number = |value: &Json| value.as_f64().ok_or_else(|| doc.error(name, "must be a list of numbers"));
            doc.list(name)?.iter().map(number).collect()
        };
        let floats = |name: &str| -> Result<Vec<f32>> { Ok(numbers(name)?.into_iter().map(|n| n as f32).collect()) };
        Ok(match doc.type_name()? {
            "rectangular" => {
                let (min, max) = (floats("minCoords")?, floats("maxCoords")?);
                if min.len() != max.len() {
                    return Err(doc.error("maxCoords", "must be as many as minCoords"));
                }
                SpatialBound::Rectangular { min, max }
            }
            "radius" => {
                let radius = doc.required("radius")?.as_f64().ok_or_else(|| doc.error("radius", "must be a number"))?;
                let wanted = doc.optional_text("radiusUnit")?.unwrap_or_else(|| "euclidean".to_owned());
                let unit = RadiusUnit::ALL.into_iter().find(|(_, name, _)| name.eq_ignore_ascii_case(&wanted));
                let unit = unit.ok_or_else(|| doc.error("radiusUnit", "must be euclidean, meters, miles or kilometers"))?.0;
                SpatialBound::Radius { coords: floats("coords")?, radius: radius as f32, unit }
            }
            "polygon" => {
                let (abscissa, ordinate) = (numbers("abscissa")?, numbers("ordinate")?);
                if abscissa.len() != ordinate.len() || abscissa.len() < 3 {
                    return Err(doc.error("ordinate", "must be as many as abscissa, and three at least"));
                }
                SpatialBound::Polygon { abscissa, ordinate }
            }
            other => return Err(doc.unknown_type(other)),
        })
    }

    /// Writes the document that `from_json` reads.
    pub fn to_json(&self) -> Json {
        match self {
            SpatialBound::Rectangular { min, max } => json!({"type": "rectangular", "minCoords": min, "maxCoords": max}),
            SpatialBound::Radius { coords, radius, unit } => {
                json!({"type": "radius", "coords": coords, "radius": radius, "radiusUnit": unit.entry().0})
            }
            SpatialBound::Polygon { abscissa, ordinate } => {
                json!({"type": "polygon", "abscissa": abscissa, "ordinate": ordinate})
            }
        }
    }

    /// True for the text of a point that lies inside; text that is no point does not.
    pub(super) fn holds(&self, text: &str) -> bool {
        let point: std::result::Result<Vec<f32>, _> = text.split(',').map(|part| part.trim().parse()).collect();
        point.is_ok_and(|point| self.contains(&point))
    }

    fn contains(&self, point: &[f32]) -> bool {
        match self {
            SpatialBound::Rectangular { min, max } => {
                point.len() == min.len() && point.iter().zip(min.iter().zip(max)).all(|(at, (min, max))| min <= at && at <= max)
            }
            SpatialBound::Radius { coords, .. } if point.len() < 2 || coords.len() < 2 || point.len() < coords.len() => false,
            SpatialBound::Radius { coords, radius, unit: RadiusUnit::Euclidean } => {
                let squares: f64 = coords.iter().zip(point).map(|(own, at)| f64::from(at - own).powi(2)).sum();
                squares <= f64::from(*radius).powi(2)
            }
            SpatialBound::Radius { coords, radius, unit } => {
                let degrees = |point: &[f32]| (f64::from(point[0]), f64::from(point[1]));
                meters(degrees(coords), degrees(point)) <= f64::from(radius * unit.entry().1)
            }
            SpatialBound::Polygon { abscissa, ordinate } => {
                point.len() == 2 && in_polygon(abscissa, ordinate, f64::from(point[0]), f64::from(point[1]))
            }
        }
    }
}

/// The way along the earth between two points of latitude and longitude.
fn meters((lat1, lon1): (f64, f64), (lat2, lon2): (f64, f64)) -> f64 {
    let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
    let a = half(lat1, lat2) + lat1.to_radians().cos() * lat2.to_radians().cos() * half(lon1, lon2);
    EARTH_METERS * 2.0 * a.sqrt().atan2((1.0 - a).max(0.0).sqrt())
}

/// Counts the borders to the left of the point: an odd number is inside.
fn in_polygon(xs: &[f64], ys: &[f64], x: f64, y: f64) -> bool {
    let between = |a: f64, b: f64, at: f64| a.min(b) <= at && at <= a.max(b);
    let mut inside = false;
    let mut last = xs.len() - 1;
    for corner in 0..xs.len() {
        let (x1, y1, x2, y2) = (xs[corner], ys[corner], xs[last], ys[last]);
        if (x1, y1) == (x, y) || (y1 == y2 && y2 == y && between(x1, x2, x)) {
            return true;
        }
        // A corner on the height of the point counts for one of its two borders only.
        if (y1 > y) != (y2 > y) || (between(y1, y2, y) && y1 != y2) {
            let crossing = x1 + (y - y1) / (y2 - y1) * (x2 - x1);
            if crossing == x {
                return true;
            }
            if (y1 > y) != (y2 > y) && crossing < x {
                inside = !inside;
            }
        }
        last = corner;
    }
    inside
}

/// The error of a bound that has no place for a point.
pub(super) fn missing_bound() -> DruidError {
    DruidError::invalid_input("filter [spatial] needs [bound]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bound: Json, inside: &[&str], outside: &[&str]) {
        let bound = SpatialBound::from_json(&bound).expect("a bound");
        assert_eq!(SpatialBound::from_json(&bound.to_json()).expect("a bound"), bound);
        inside.iter().for_each(|text| assert!(bound.holds(text), "{text} in {bound:?}"));
        outside.iter().for_each(|text| assert!(!bound.holds(text), "{text} not in {bound:?}"));
    }

    #[test]
    fn points_lie_within_rectangles_circles_and_polygons() {
        check(
            json!({"type": "rectangular", "minCoords": [10.0, 20.0], "maxCoords": [30, 40.5]}),
            &["10,20", "30.0, 40.5", "12.5,33"],
            &["9.9,20", "10,41", "", "10", "1,2,3", "a,b", "NaN,30"],
        );
        check(json!({"type": "radius", "coords": [1, 1], "radius": 5}), &["1,1", "4,5", "-4,1"], &["4.1,5", "7,1", "1"]);
        // Berlin: Potsdam is 27 km away, Hamburg 255 km.
        let berlin =
            |radius: f64, unit: &str| json!({"type": "radius", "coords": [52.52, 13.405], "radius": radius, "radiusUnit": unit});
        let (potsdam, hamburg) = ("52.39,13.065", "53.5511,9.9937");
        check(berlin(30.0, "kilometers"), &[potsdam], &[hamburg]);
        check(berlin(20.0, "miles"), &[potsdam], &[hamburg]);
        check(berlin(260_000.0, "meters"), &[potsdam, hamburg], &["48.1,11.5"]);
        let square = json!({"type": "polygon", "abscissa": [0, 0, 1, 1], "ordinate": [0, 1, 1, 0]});
        check(square, &["0,0", "0.5,1", "0.5,0.5", "1,0.3"], &["1.1,0.5", "-0.1,0", "0.5,1.5", "2,1", "2,0"]);
        let arrow = json!({"type": "polygon", "abscissa": [0, 4, 8, 4], "ordinate": [0, 2, 0, 8]});
        check(arrow, &["4,4", "2,3", "1,1", "4,2"], &["4,1", "4,9", "9,0", "0,2", "7.9,2"]);
    }

    #[test]
    fn what_is_no_bound_is_named() {
        let wrong = |bound: Json| SpatialBound::from_json(&bound).expect_err("it is refused").message;
        assert!(wrong(json!({"type": "cube"})).contains("cube"));
        assert!(wrong(json!({"type": "rectangular", "minCoords": [1], "maxCoords": [1, 2]})).contains("maxCoords"));
        assert!(wrong(json!({"type": "radius", "coords": [1, 2], "radius": 3, "radiusUnit": "yards"})).contains("radiusUnit"));
        assert!(wrong(json!({"type": "polygon", "abscissa": [1, 2], "ordinate": [1, 2]})).contains("three"));
    }
}
