"""Reads what was shared with the partners' own tools. Knows nothing of Vigie.

share_check.py xlsx|csv|misp|stix FILE: prints what the tool saw as JSON; fails when the tool refuses it.
"""

import csv
import json
import sys
from pathlib import Path


def xlsx(path: str) -> dict:
    import openpyxl

    book = openpyxl.load_workbook(path)
    sheet, codes = book["findings"], book["codes"]
    heads = [cell.value for cell in sheet[2]]
    rows, kinds = [], {}
    for line in sheet.iter_rows(min_row=3):
        row = {}
        for head, cell in zip(heads, line):
            if cell.value is None:
                continue
            assert cell.data_type != "f", f"{cell.coordinate} is a formula"
            kinds.setdefault(head, cell.data_type)
            row[head] = cell.value.strftime("%Y-%m-%d") if cell.data_type == "d" else cell.value
        rows.append(row)
    lists = [str(rule.formula1) for rule in sheet.data_validations.dataValidation]
    words = [str(cell.value) for column in codes.iter_cols() for cell in column if cell.value is not None]
    first = {head: [c.value for c in column[1:] if c.value] for column in codes.iter_cols() for head in [column[0].value]}
    return {
        "mark": sheet["A1"].value, "heads": heads, "rows": rows, "kinds": kinds, "lists": lists, "frozen": sheet.freeze_panes,
        "codes": len(words), "terms": first["cites_term"], "created": book.properties.created.isoformat(),
        "creator": book.properties.creator, "sheets": book.sheetnames,
    }


def table(path: str) -> dict:
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, strict=True))
    for row in rows:
        assert None not in row, "a row has more fields than heads"
        for value in row.values():
            assert not value.startswith(("=", "+", "-", "@", "\t", "\r")), value
    return {"rows": rows}


def misp(path: str) -> dict:
    from pymisp import MISPEvent

    text = Path(path).read_text(encoding="utf-8")
    loaded, event = MISPEvent(), MISPEvent()
    loaded.load_file(path)
    event.from_dict(**json.loads(text))
    assert loaded.to_json() == event.to_json()
    again = MISPEvent()
    again.load(event.to_json())
    assert len(again.objects) == len(event.objects)
    rows = [{a.object_relation: str(a.value) for a in o.attributes} | {"uuid": o.uuid} for o in event.objects]
    uuids = [a.uuid for o in event.objects for a in o.attributes]
    assert len(set(uuids)) == len(uuids)
    return {
        "info": event.info, "tags": [tag.name for tag in event.tags], "distribution": int(event.distribution), "rows": rows,
        "types": sorted({a.type for o in event.objects for a in o.attributes}),
    }


def stix(path: str) -> dict:
    from stix2validator import ValidationOptions, validate_file

    result = validate_file(path, ValidationOptions(version="2.1", strict=False))
    errors = [str(e) for e in result.object_results[0].errors or []] if result.object_results else ["nothing validated"]
    warnings = [str(w) for r in result.object_results for w in r.warnings or []]
    document = json.loads(Path(path).read_text(encoding="utf-8"))
    return {
        "valid": bool(result.is_valid) and not errors, "errors": errors, "warnings": warnings,
        "types": sorted({o["type"] for o in document["objects"]}),
        "rows": [o for o in document["objects"] if o["type"] == "wildlife-offer"],
    }


if __name__ == "__main__":
    kind, path = sys.argv[1:]
    print(json.dumps({"xlsx": xlsx, "csv": table, "misp": misp, "stix": stix}[kind](path), ensure_ascii=False))
