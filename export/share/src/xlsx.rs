//! The wildlife table as a spreadsheet: fixed columns, code lists on a sheet of their own, cells that offer these
//! codes, days as dates and numbers as numbers. Every other cell is a string, so none is ever a formula.

use rust_xlsxwriter::{
    DataValidation, DocProperties, ExcelDateTime, Format, FormatAlign, Formula, Workbook, Worksheet,
};
use vigie_config::sharing::{Column, Tlp};

use crate::codes::{self, Code};
use crate::{Row, Share, ShareError};

/// Rows above the first finding: the mark, and the heads.
const HEAD_ROWS: u32 = 2;
/// Rows that offer codes, so that a partner can add some.
const VALIDATED_ROWS: u32 = 5000;

/// Writes the workbook: `findings` and `codes`.
///
/// # Errors
/// [`ShareError::Xlsx`], for more rows than a sheet holds (1,048,576).
pub fn write(share: &Share) -> Result<Vec<u8>, ShareError> {
    let mut book = Workbook::new();
    // Else the clock's time would stand there.
    let created = ExcelDateTime::parse_from_str(&share.created.strftime("%Y-%m-%dT%H:%M:%S").to_string())?;
    book.set_properties(
        &DocProperties::new().set_title(format!("Findings, {}", share.tlp)).set_creation_datetime(&created),
    );
    findings(book.add_worksheet(), share)?;
    code_sheet(book.add_worksheet())?;
    Ok(book.save_to_buffer()?)
}

fn findings(sheet: &mut Worksheet, share: &Share) -> Result<(), ShareError> {
    sheet.set_name("findings")?;
    let last = (Column::ALL.len() - 1) as u16;
    // TLP 2.0 prints its marks in fixed colours on black.
    let colour = match share.tlp {
        Tlp::Clear => 0xFF_FFFF,
        Tlp::Green => 0x33_FF00,
        Tlp::Amber | Tlp::AmberStrict => 0xFF_C000,
        Tlp::Red => 0xFF_2B2B,
    };
    let mark = Format::new().set_bold().set_font_color(colour).set_background_color(0x00_0000u32);
    let above = format!("{}   share {}   for {}", share.tlp, share.id, share.partner);
    sheet.merge_range(0, 0, 0, last, &above, &mark.set_align(FormatAlign::Left))?;
    let head = Format::new().set_bold().set_text_wrap();
    let day = Format::new().set_num_format("yyyy-mm-dd");
    for (at, column) in (0u16..).zip(Column::ALL) {
        sheet.write_string_with_format(1, at, column.name(), &head)?;
        sheet.set_column_width(at, width(column))?;
        for (line, row) in (HEAD_ROWS..).zip(&share.rows) {
            cell(sheet, line, at, row, column, &day)?;
        }
        if let Some((letter, list)) = list_of(column) {
            let rule = Formula::new(format!("=codes!${letter}$2:${letter}${}", list.len() + 1));
            let rule = DataValidation::new().allow_list_formula(rule);
            sheet.add_data_validation(HEAD_ROWS, at, HEAD_ROWS + VALIDATED_ROWS, at, &rule)?;
        }
    }
    sheet.set_freeze_panes(HEAD_ROWS, 1)?;
    sheet.autofilter(1, 0, (share.rows.len() as u32).max(1) + 1, last)?;
    Ok(())
}

fn cell(sheet: &mut Worksheet, line: u32, at: u16, row: &Row, column: Column, day: &Format) -> Result<(), ShareError> {
    let value = row.value(column);
    if value.is_empty() {
        return Ok(());
    }
    match column {
        Column::FirstSeen | Column::LastSeen => {
            sheet.write_datetime_with_format(line, at, ExcelDateTime::parse_from_str(value)?, day)?;
        }
        Column::Quantity | Column::Price => match value.parse::<f64>() {
            Ok(number) => drop(sheet.write_number(line, at, number)?),
            Err(_) => drop(sheet.write_string(line, at, value)?),
        },
        _ => drop(sheet.write_string(line, at, value)?),
    }
    Ok(())
}

/// The code lists, in the order of their columns on the second sheet.
const LISTS: [(Column, &[Code]); 7] = [
    (Column::Status, codes::STATUS),
    (Column::SiteClass, codes::SITE_CLASS),
    (Column::EuAnnex, codes::EU_ANNEX),
    (Column::CitesAppendix, codes::CITES_APPENDIX),
    (Column::CitesTerm, codes::TERM),
    (Column::Unit, codes::UNIT),
    (Column::Documents, codes::DOCUMENTS),
];

/// Column letter of a list on the code sheet. A status may also name another row, so its list only explains.
fn list_of(column: Column) -> Option<(char, &'static [Code])> {
    let at = LISTS.iter().position(|(of, _)| *of == column && column != Column::Status)?;
    Some((char::from(b'A' + (at * 2) as u8), LISTS[at].1))
}

fn code_sheet(sheet: &mut Worksheet) -> Result<(), ShareError> {
    sheet.set_name("codes")?;
    let head = Format::new().set_bold();
    for (at, (column, list)) in (0u16..).step_by(2).zip(LISTS) {
        sheet.write_string_with_format(0, at, column.name(), &head)?;
        sheet.write_string_with_format(0, at + 1, "meaning", &head)?;
        for (line, (code, meaning)) in (1..).zip(list) {
            sheet.write_string(line, at, *code)?;
            sheet.write_string(line, at + 1, *meaning)?;
        }
        sheet.set_column_width(at + 1, 40)?;
    }
    sheet.set_freeze_panes(1, 0)?;
    Ok(())
}

fn width(column: Column) -> f64 {
    match column {
        Column::Id => 38.0,
        Column::Taxon | Column::AdvertisedName | Column::SellerToken => 26.0,
        Column::SiteClass => 20.0,
        _ => 13.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_share_gives_the_same_bytes() {
        let share = crate::tests::share(Tlp::Amber);
        assert_eq!(write(&share).unwrap(), write(&share).unwrap());
        assert!(write(&crate::tests::share(Tlp::Red)).unwrap().starts_with(b"PK"));
        assert_eq!(list_of(Column::CitesTerm).unwrap().0, 'I');
    }
}
