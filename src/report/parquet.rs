//! Tables as Parquet, where the program was built with it: the columns of the CSV, each with a type.

use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use super::folder::Content;

/// Columns that are whole numbers in every table.
const WHOLE: &[&str] = &["replication", "replications", "point", "seed", "events", "rank"];
/// Columns that are texts, whatever they look like.
const TEXTS: &[&str] = &["digest", "model", "settings", "topology", "name", "unit", "objective"];

/// What a column holds.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Whole,
    Number,
    Flag,
    Text,
}

/// Tables with a twin in Parquet beside each CSV.
pub fn with_twins(contents: Vec<Content>) -> Vec<Content> {
    let mut all = Vec::new();
    for content in contents {
        let twin = content.path.strip_suffix(".csv").map(|stem| Content {
            path: format!("{stem}.parquet"),
            bytes: parquet(&content.bytes).expect("a table fits into memory"),
        });
        all.push(content);
        all.extend(twin);
    }
    all
}

/// A table in CSV as Parquet; the same bytes for the same table.
fn parquet(csv: &[u8]) -> Result<Vec<u8>, ParquetError> {
    let mut reader = csv::Reader::from_reader(csv);
    let names: Vec<String> =
        reader.headers().map(|head| head.iter().map(String::from).collect()).unwrap_or_default();
    let mut columns: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    for record in reader.records().flatten() {
        for (column, cell) in columns.iter_mut().zip(record.iter()) {
            column.push(cell.to_string());
        }
    }
    let kinds: Vec<Kind> = names.iter().zip(&columns).map(|(name, of)| kind(name, of)).collect();
    let fields = names.iter().zip(&kinds).map(|(name, kind)| field(name, *kind).map(Arc::new));
    let schema =
        Type::group_type_builder("table").with_fields(fields.collect::<Result<_, _>>()?).build()?;
    let mut bytes = Vec::new();
    let properties = WriterProperties::builder().set_created_by("loadbearing".into()).build();
    let mut writer = SerializedFileWriter::new(&mut bytes, Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (cells, kind) in columns.iter().zip(&kinds) {
        let Some(mut column) = group.next_column()? else { break };
        let levels: Vec<i16> = cells.iter().map(|cell| i16::from(!cell.is_empty())).collect();
        let known = cells.iter().filter(|cell| !cell.is_empty());
        match kind {
            Kind::Whole => {
                // Seeds fill 64 bits; Parquet's are signed, and the same bits are kept.
                let values: Vec<i64> =
                    known.filter_map(|it| it.parse::<u64>().ok()).map(|it| it as i64).collect();
                column.typed::<Int64Type>().write_batch(&values, Some(&levels), None)?;
            }
            Kind::Number => {
                let values: Vec<f64> = known.filter_map(|it| it.parse().ok()).collect();
                column.typed::<DoubleType>().write_batch(&values, Some(&levels), None)?;
            }
            Kind::Flag => {
                let values: Vec<bool> = known.map(|it| it == "true").collect();
                column.typed::<BoolType>().write_batch(&values, Some(&levels), None)?;
            }
            Kind::Text => {
                let values: Vec<ByteArray> = known.map(|it| it.as_str().into()).collect();
                column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)?;
            }
        }
        column.close()?;
    }
    group.close()?;
    writer.close()?;
    Ok(bytes)
}

/// The type of a column: that of its name, or the narrowest that all of its cells have.
fn kind(name: &str, cells: &[String]) -> Kind {
    let all = |holds: fn(&str) -> bool| {
        cells.iter().filter(|cell| !cell.is_empty()).all(|cell| holds(cell))
    };
    if TEXTS.contains(&name) {
        return Kind::Text;
    }
    if WHOLE.contains(&name) && all(|it| it.parse::<u64>().is_ok()) {
        return Kind::Whole;
    }
    // A column without values is one of numbers: nothing else is ever left out throughout.
    if all(|it| it.parse::<f64>().is_ok()) {
        return Kind::Number;
    }
    if all(|it| it == "true" || it == "false") { Kind::Flag } else { Kind::Text }
}

fn field(name: &str, kind: Kind) -> Result<Type, ParquetError> {
    let (physical, logical) = match kind {
        Kind::Whole => (Physical::INT64, None),
        Kind::Number => (Physical::DOUBLE, None),
        Kind::Flag => (Physical::BOOLEAN, None),
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    #[test]
    fn a_table_reads_back_with_its_types_and_its_gaps() {
        let csv = b"point,pool,low,differs,digest\n0,5,1.25,,00000000000e1234\n1,20ms,,true,12\n";
        let bytes = parquet(csv).unwrap();
        assert_eq!(bytes, parquet(csv).unwrap(), "the same bytes");
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].get_long(0).unwrap(), rows[1].get_long(0).unwrap()), (0, 1));
        assert_eq!(rows[1].get_string(1).unwrap(), "20ms");
        assert_eq!(rows[0].get_double(2).unwrap(), 1.25);
        assert!(rows[1].get_double(2).is_err(), "nothing stays nothing");
        assert!(rows[1].get_bool(3).unwrap());
        assert_eq!(rows[0].get_string(4).unwrap(), "00000000000e1234");
    }

    #[test]
    fn only_tables_have_twins() {
        let content = |path: &str| Content { path: path.into(), bytes: b"a\n1\n".to_vec() };
        let all = with_twins(vec![content("runs.csv"), content("report.html")]);
        let paths: Vec<&str> = all.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(paths, ["runs.csv", "runs.parquet", "report.html"]);
    }
}
