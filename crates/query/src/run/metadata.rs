//! segmentMetadata over one segment (`SegmentAnalyzer`).

use ovate_base::Result;
use ovate_compute::{ColumnSource, ColumnType, TIME_COLUMN};
use serde_json::json;

use super::SegmentRef;
use crate::document::{AnalysisType, SegmentMetadataQuery};
use crate::partial::{ColumnAnalysis, SegmentAnalysis};

/// Bytes that Druid counts for a number or a timestamp when it estimates sizes.
const NUMBER_TEXT_BYTES: u64 = 10;

/// Analyses the segment's columns.
pub(super) fn run(query: &SegmentMetadataQuery, segment: &SegmentRef) -> Result<Vec<SegmentAnalysis>> {
    let source = segment.source.as_ref();
    let meta = segment.meta.as_deref();
    let mut columns = Vec::new();
    let names = source.column_names();
    // Besides the columns Druid counts a byte a cell for what separates them (`SegmentMetadataQueryRunnerFactory`).
    let mut size = names.len() as u64 * u64::from(source.row_count());
    for name in names {
        let analysis = analyze(query, source, &name)?;
        size += analysis.size;
        if query.to_include.includes(&name) {
            columns.push((name, analysis));
        }
    }
    let interval = meta.and_then(|meta| meta.interval).unwrap_or_else(|| source.interval());
    let aggregators = meta.and_then(|meta| meta.aggregators.clone()).filter(|_| query.wants(AnalysisType::Aggregators));
    let name = |spec: &serde_json::Value| spec.get("name").and_then(|n| n.as_str()).unwrap_or_default().to_owned();
    Ok(vec![SegmentAnalysis {
        id: segment.id.to_string(),
        intervals: query.wants(AnalysisType::Interval).then(|| vec![interval]),
        columns,
        size: if query.wants(AnalysisType::Size) { size } else { 0 },
        row_count: u64::from(source.row_count()),
        aggregators: aggregators.map(|specs| specs.into_iter().map(|spec| (name(&spec), spec)).collect()),
        timestamp_spec: meta.and_then(|m| m.timestamp_spec.clone()).filter(|_| query.wants(AnalysisType::TimestampSpec)),
        query_granularity: meta.and_then(|m| m.query_granularity.clone()).filter(|_| query.wants(AnalysisType::QueryGranularity)),
        rollup: meta.and_then(|m| m.rollup).filter(|_| query.wants(AnalysisType::Rollup)),
    }])
}

fn analyze(query: &SegmentMetadataQuery, source: &dyn ColumnSource, name: &str) -> Result<ColumnAnalysis> {
    let Some(capabilities) = source.capabilities(name) else {
        return Ok(ColumnAnalysis::failed("unknown_column"));
    };
    let rows = u64::from(source.row_count());
    let wants_size = query.wants(AnalysisType::Size);
    let mut analysis = ColumnAnalysis {
        column_type: capabilities.column_type.clone(),
        multi_value: capabilities.multi_value,
        has_nulls: capabilities.has_nulls,
        size: 0,
        // Strings have 0 where nobody asked for it (`SegmentAnalyzer.analyzeStringColumn`).
        cardinality: (capabilities.column_type == ColumnType::String).then_some(0),
        min: None,
        max: None,
        error: None,
    };
    match &capabilities.column_type {
        ColumnType::String if wants_size || query.wants(AnalysisType::Cardinality) || query.wants(AnalysisType::MinMax) => {
            analyze_strings(query, source, name, &mut analysis)?;
        }
        ColumnType::Long | ColumnType::Float | ColumnType::Double if wants_size => {
            analysis.size = rows * if name == TIME_COLUMN { NUMBER_TEXT_BYTES } else { 8 };
        }
        _ => {}
    }
    Ok(analysis)
}

fn analyze_strings(
    query: &SegmentMetadataQuery,
    source: &dyn ColumnSource,
    name: &str,
    analysis: &mut ColumnAnalysis,
) -> Result<()> {
    let Some(column) = source.column(name)? else { return Ok(()) };
    let Some(dictionary) = column.dictionary() else { return Ok(()) };
    let cardinality = dictionary.cardinality();
    if query.wants(AnalysisType::Cardinality) {
        analysis.cardinality = Some(u64::from(cardinality));
    }
    if query.wants(AnalysisType::MinMax) && cardinality > 0 {
        let text = |code: u32| -> Result<Option<String>> { Ok(dictionary.get(code)?.map(|t| t.into_owned())) };
        let (min, max) = if dictionary.is_sorted() {
            let first = text(0)?;
            (first, text(cardinality - 1)?)
        } else {
            let mut all = (0..cardinality).map(text).collect::<Result<Vec<_>>>()?;
            all.retain(Option::is_some);
            (all.iter().min().cloned().flatten(), all.iter().max().cloned().flatten())
        };
        analysis.min = min.map(|text| json!(text));
        analysis.max = max.map(|text| json!(text));
    }
    if query.wants(AnalysisType::Size)
        && let Some(index) = column.bitmap_index()
    {
        for code in 0..cardinality {
            if let Some(text) = dictionary.get(code)? {
                analysis.size += text.len() as u64 * index.bitmap(code)?.cardinality();
            }
        }
    }
    Ok(())
}
