import pymysql

COLUMNS = "id name user_name avatar description created_at created_at_time followers following statuses_count".split()


class MySQLPipeline:
    def __init__(self, mysql, batch):
        self.mysql = mysql
        self.batch = batch
        self.rows = []

    @classmethod
    def from_crawler(cls, crawler):
        return cls(crawler.settings["MYSQL"], crawler.settings.getint("BATCH"))

    def open_spider(self):
        self.db = pymysql.connect(**self.mysql)
        columns = ", ".join(f"`{column}`" for column in COLUMNS)
        marks = ", ".join(["%s"] * len(COLUMNS))
        updates = ", ".join(f"`{column}` = VALUES(`{column}`)" for column in COLUMNS[1:])
        self.sql = f"INSERT INTO twitter_kol_all ({columns}) VALUES ({marks}) ON DUPLICATE KEY UPDATE {updates}"

    def process_item(self, item):
        self.rows.append(tuple(item[column] for column in COLUMNS))
        if len(self.rows) >= self.batch:
            self.flush()
        return item

    def close_spider(self):
        self.flush()
        self.db.close()

    def flush(self):
        if self.rows:
            with self.db.cursor() as cursor:
                cursor.executemany(self.sql, self.rows)
            self.db.commit()
            self.rows = []
