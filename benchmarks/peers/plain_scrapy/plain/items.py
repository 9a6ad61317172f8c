import scrapy


class UserItem(scrapy.Item):
    id = scrapy.Field()
    name = scrapy.Field()
    user_name = scrapy.Field()
    avatar = scrapy.Field()
    description = scrapy.Field()
    created_at = scrapy.Field()
    created_at_time = scrapy.Field()
    followers = scrapy.Field()
    following = scrapy.Field()
    statuses_count = scrapy.Field()
