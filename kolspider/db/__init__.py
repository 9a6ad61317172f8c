"""The team's database: SQLite, MySQL or MariaDB, Apache Doris."""
