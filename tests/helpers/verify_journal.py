#!/usr/bin/env python3
"""Checks a run's journal without runbook: verify_journal.py RUN_FOLDER; 0 as written, 1 not."""
import glob, hashlib, json, os, sys

heads = ["0" * 64]  # heads[n]: the hash of line n
try:
    segments = sorted(glob.glob(os.path.join(sys.argv[1], "journal-*.jsonl")))
    assert segments, "there is no journal"
    for number, path in enumerate(segments, 1):
        assert path.endswith("journal-%06d.jsonl" % number), "a segment is missing before " + path
        with open(path, "rb") as segment:
            lines = segment.read().split(b"\n")[:-1]  # what has no newline was cut short
        for index, line in enumerate(lines):
            event, where = json.loads(line), "%s, line %d: " % (path, index + 1)
            assert hashlib.sha256(line[: line.rindex(b',"hash"')]).hexdigest() == event["hash"], where + "hash"
            if index == 0:  # a segment may leave out lines that were never acknowledged
                assert event["kind"] == "journal_opened" and event["seq"] <= len(heads), where + "opening"
                heads = heads[: event["seq"]]
            assert event["seq"] == len(heads), where + "seq"
            assert event["prev"] == heads[-1], where + "prev"
            assert event["kind"] != "sealed" or event["head"] == heads[-1], where + "seal"
            heads.append(event["hash"])
except (AssertionError, KeyError, ValueError, OSError) as error:
    sys.exit("journal: %s" % error)
print("%d events, head %s" % (len(heads) - 1, heads[-1]))
