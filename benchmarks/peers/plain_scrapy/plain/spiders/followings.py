from datetime import UTC, datetime
from urllib.parse import urlencode

import pymysql
import scrapy

from plain.items import UserItem


class FollowingsSpider(scrapy.Spider):
    name = "followings"

    async def start(self):
        with pymysql.connect(**self.settings["MYSQL"]) as db, db.cursor() as cursor:
            cursor.execute("SELECT user_name FROM twitter_kol ORDER BY id")
            kols = [name for (name,) in cursor.fetchall()]
        for kol in kols:
            yield self.request(kol)

    def request(self, kol, cursor=""):
        query = {"userName": kol, "pageSize": 200}
        if cursor:
            query["cursor"] = cursor
        return scrapy.Request(
            f"{self.settings['API_URL']}/twitter/user/followings?{urlencode(query)}",
            headers={"X-API-Key": self.settings["API_KEY"]},
            cb_kwargs={"kol": kol},
        )

    def parse(self, response, kol):
        page = response.json()
        for user in page["followings"]:
            created = datetime.strptime(user["created_at"], "%a %b %d %H:%M:%S %z %Y").astimezone(UTC)
            yield UserItem(
                id=user["id"],
                name=user["name"],
                user_name=user["screen_name"],
                avatar=user["profile_image_url_https"],
                description=user["description"],
                created_at=user["created_at"],
                created_at_time=created.strftime("%Y-%m-%d %H:%M:%S"),
                followers=user["followers_count"],
                following=user["following_count"],
                statuses_count=user["statuses_count"],
            )
        if page["has_next_page"]:
            yield self.request(kol, page["next_cursor"])
