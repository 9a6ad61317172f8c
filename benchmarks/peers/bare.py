"""The peer `no framework`: from page files to the table in one loop, with orjson and nothing superfluous.

    python bare.py FOLDER [--dates strptime|sliced] [--write executemany|load-data]

It has no cache, no ledger and no way to resume: this is what the work itself costs.
"""

import argparse
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pymysql

COLUMNS = "id name user_name avatar description created_at created_at_time followers following statuses_count".split()
NAMES = ", ".join(f"`{column}`" for column in COLUMNS)
UPDATES = ", ".join(f"`{column}` = VALUES(`{column}`)" for column in COLUMNS[1:])
UPSERT = (
    f"INSERT INTO twitter_kol_all ({NAMES}) VALUES ({', '.join(['%s'] * len(COLUMNS))}) "
    f"ON DUPLICATE KEY UPDATE {UPDATES}"
)
MONTHS = {
    name: f"{number:02}" for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)
}
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
BATCH = 1000


def with_strptime(text):
    created = datetime.strptime(text, "%a %b %d %H:%M:%S %z %Y").astimezone(UTC)
    return created.strftime("%Y-%m-%d %H:%M:%S")


def sliced(text):
    """Thu Dec 13 08:41:26 +0000 2007"""
    return f"{text[26:30]}-{MONTHS[text[4:7]]}-{text[8:10]} {text[11:19]}"


def rows(folder, time_of):
    for file in sorted(folder.glob("[0-9]*.json")):
        for user in orjson.loads(file.read_bytes())["followings"]:
            yield (
                user["id"],
                user["name"],
                user["screen_name"],
                user["profile_image_url_https"],
                user["description"],
                user["created_at"],
                time_of(user["created_at"]),
                user["followers_count"],
                user["following_count"],
                user["statuses_count"],
            )


def executemany(db, all_rows):
    batch = []
    with db.cursor() as cursor:
        for row in all_rows:
            batch.append(row)
            if len(batch) == BATCH:
                cursor.executemany(UPSERT, batch)
                db.commit()
                batch.clear()
        cursor.executemany(UPSERT, batch)
        db.commit()


def load_data(db, all_rows):
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="", suffix=".tsv") as file, db.cursor() as cursor:
        for row in all_rows:
            file.write("\t".join([str(value).translate(ESCAPES) for value in row]) + "\n")
        file.flush()
        cursor.execute(
            f"LOAD DATA LOCAL INFILE %s REPLACE INTO TABLE twitter_kol_all CHARACTER SET utf8mb4 ({NAMES})",
            (file.name,),
        )
        db.commit()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dates", choices=["strptime", "sliced"], default="sliced")
    parser.add_argument("--write", choices=["executemany", "load-data"], default="executemany")
    arguments = parser.parse_args()
    connection = pymysql.connect(
        host=os.environ["DB_HOST"],
        port=int(os.environ["DB_PORT"]),
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASSWORD"],
        database=os.environ["DB_NAME"],
        charset="utf8mb4",
        local_infile=True,
    )
    write = executemany if arguments.write == "executemany" else load_data
    write(connection, rows(arguments.folder, with_strptime if arguments.dates == "strptime" else sliced))
    connection.close()
