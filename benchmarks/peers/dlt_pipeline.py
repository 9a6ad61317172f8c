"""The peer `dlt`: the followings as a resource, merged into the table by id (delete-insert: MySQL takes no upsert)."""

import os
from datetime import UTC, datetime

import dlt
import pymysql
import requests
from dlt.destinations import sqlalchemy

DATABASE = os.environ["DB_NAME"]
CREDENTIALS = (
    f"mysql+pymysql://{os.environ['DB_USER']}:{os.environ['DB_PASSWORD']}"
    f"@{os.environ['DB_HOST']}:{os.environ['DB_PORT']}/{DATABASE}?charset=utf8mb4"
)


def kols():
    with (
        pymysql.connect(
            host=os.environ["DB_HOST"],
            port=int(os.environ["DB_PORT"]),
            user=os.environ["DB_USER"],
            password=os.environ["DB_PASSWORD"],
            database=DATABASE,
        ) as db,
        db.cursor() as cursor,
    ):
        cursor.execute("SELECT user_name FROM twitter_kol ORDER BY id")
        return [name for (name,) in cursor.fetchall()]


@dlt.resource(
    name="twitter_kol_all",
    write_disposition={"disposition": "merge", "strategy": "delete-insert"},
    primary_key="id",
    columns={
        "id": {"data_type": "text", "precision": 32, "nullable": False},
        "created_at": {"data_type": "text"},
        "created_at_time": {"data_type": "timestamp", "timezone": False},
        "followers": {"data_type": "bigint", "precision": 64},
        "following": {"data_type": "bigint", "precision": 64},
        "statuses_count": {"data_type": "bigint", "precision": 64},
    },
)
def followings():
    http = requests.Session()
    http.headers["X-API-Key"] = os.environ["API_KEY"]
    for kol in kols():
        cursor = ""
        while True:
            params = {"userName": kol, "pageSize": 200, **({"cursor": cursor} if cursor else {})}
            response = http.get(f"{os.environ['API_URL']}/twitter/user/followings", params=params, timeout=30)
            response.raise_for_status()
            page = response.json()
            yield [row(user) for user in page["followings"]]
            if not page["has_next_page"]:
                break
            cursor = page["next_cursor"]


def row(user):
    created = datetime.strptime(user["created_at"], "%a %b %d %H:%M:%S %z %Y").astimezone(UTC)
    return {
        "id": user["id"],
        "name": user["name"],
        "user_name": user["screen_name"],
        "avatar": user["profile_image_url_https"],
        "description": user["description"],
        "created_at": user["created_at"],
        "created_at_time": created.replace(tzinfo=None),
        "followers": user["followers_count"],
        "following": user["following_count"],
        "statuses_count": user["statuses_count"],
    }


if __name__ == "__main__":
    pipeline = dlt.pipeline(
        "followings",
        pipelines_dir="dlt",
        destination=sqlalchemy(CREDENTIALS),
        dataset_name=DATABASE,
    )
    print(pipeline.run(followings()))
