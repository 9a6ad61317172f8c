SET NAMES utf8mb4;

SET group_commit = 'off_mode', enable_insert_strict = true, insert_timeout = 20, insert_visible_timeout_ms = 5000, sql_mode = 'ONLY_FULL_GROUP_BY';

SET enable_insert_value_auto_cast = false;

SELECT `column_name`, `data_type`, `character_maximum_length`, `is_nullable`
    FROM `information_schema`.`columns`
    WHERE `table_schema` = 'kol' AND `table_name` = 'twitter_kol'
    ORDER BY `ordinal_position`;

CREATE TABLE IF NOT EXISTS `twitter_kol` (
  `user_name` VARCHAR(128) NOT NULL
) ENGINE=OLAP UNIQUE KEY(`user_name`) DISTRIBUTED BY HASH(`user_name`) BUCKETS AUTO
PROPERTIES ("enable_unique_key_merge_on_write" = "true", "light_schema_change" = "true");

SELECT `column_name`, `data_type`, `character_maximum_length`, `is_nullable`
    FROM `information_schema`.`columns`
    WHERE `table_schema` = 'kol' AND `table_name` = 'twitter_kol_all'
    ORDER BY `ordinal_position`;

CREATE TABLE IF NOT EXISTS `twitter_kol_all` (
  `id` VARCHAR(32) NOT NULL,
  `name` VARCHAR(1024) NULL,
  `user_name` VARCHAR(128) NULL,
  `avatar` VARCHAR(2048) NULL,
  `description` STRING NULL,
  `created_at` VARCHAR(64) NULL,
  `created_at_time` DATETIME NULL,
  `followers` BIGINT NULL,
  `following` BIGINT NULL,
  `statuses_count` BIGINT NULL
) ENGINE=OLAP UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS AUTO
PROPERTIES ("enable_unique_key_merge_on_write" = "true", "light_schema_change" = "true", "store_row_column" = "true");

SELECT `user_name`, `user_name` FROM `twitter_kol` WHERE `user_name` IS NULL;

SELECT `user_name`, `user_name` FROM `twitter_kol` WHERE `user_name` IS NOT NULL ORDER BY `user_name` LIMIT 2;

SHOW CREATE TABLE `twitter_kol`;

INSERT INTO `twitter_kol` (`user_name`) VALUES ('BTC'), ('o\'neil'), ('vitalik');

SELECT `column_name`, `data_type`, `character_maximum_length`, `is_nullable`
    FROM `information_schema`.`columns`
    WHERE `table_schema` = 'kol' AND `table_name` = 'k8'
    ORDER BY `ordinal_position`;

CREATE TABLE IF NOT EXISTS `kol`.`k8` (
  `user_name` VARCHAR(128) NOT NULL
) ENGINE=OLAP UNIQUE KEY(`user_name`) DISTRIBUTED BY HASH(`user_name`) BUCKETS 8
PROPERTIES ("enable_unique_key_merge_on_write" = "true", "light_schema_change" = "true", "replication_allocation" = "tag.location.default: 1");

SELECT `column_name`, `data_type`, `character_maximum_length`, `is_nullable`
    FROM `information_schema`.`columns`
    WHERE `table_schema` = 'kol' AND `table_name` = 't8'
    ORDER BY `ordinal_position`;

CREATE TABLE IF NOT EXISTS `kol`.`t8` (
  `id` VARCHAR(32) NOT NULL,
  `name` VARCHAR(1024) NULL,
  `user_name` VARCHAR(128) NULL,
  `avatar` VARCHAR(2048) NULL,
  `description` STRING NULL,
  `created_at` VARCHAR(64) NULL,
  `created_at_time` DATETIME NULL,
  `followers` BIGINT NULL,
  `following` BIGINT NULL,
  `statuses_count` BIGINT NULL
) ENGINE=OLAP UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS 8
PROPERTIES ("enable_unique_key_merge_on_write" = "true", "light_schema_change" = "true", "store_row_column" = "true", "replication_allocation" = "tag.location.default: 1");

SELECT COUNT(*) FROM `twitter_kol`;

SELECT `user_name`, `user_name` FROM `twitter_kol` WHERE `user_name` = 'o\'neil';

SELECT `user_name`, `user_name` FROM `twitter_kol` WHERE `user_name` > 'o\'neil' ORDER BY `user_name` LIMIT 2;

CREATE TABLE `k_by_id` (`id` BIGINT NULL, `user_name` VARCHAR(9) NULL) DUPLICATE KEY(`id`);

INSERT INTO `k_by_id` VALUES (1, 'a'), (2, 'b'), (2, 'c'), (4, 'd');

SELECT `column_name`, `data_type`, `character_maximum_length`, `is_nullable`
    FROM `information_schema`.`columns`
    WHERE `table_schema` = 'kol' AND `table_name` = 'k_by_id'
    ORDER BY `ordinal_position`;

SHOW CREATE TABLE `k_by_id`;

SELECT COUNT(*) FROM `k_by_id`;

SELECT `id`, `user_name` FROM `k_by_id` WHERE `id` IS NULL;

SELECT `id`, `user_name` FROM `k_by_id` WHERE `id` IS NOT NULL ORDER BY `id` LIMIT 2;

SELECT `id`, `user_name` FROM `k_by_id` WHERE `id` = 2;

SELECT `id`, `user_name` FROM `k_by_id` WHERE `id` > 2 ORDER BY `id` LIMIT 2;

CREATE TABLE `k_by_large_id` (`id` LARGEINT NULL, `user_name` VARCHAR(9) NULL) DUPLICATE KEY(`id`);

INSERT INTO `k_by_large_id` VALUES (1, 'a'), (2, 'b'), (2, 'c'), (4, 'd');

SELECT `column_name`, `data_type`, `character_maximum_length`, `is_nullable`
    FROM `information_schema`.`columns`
    WHERE `table_schema` = 'kol' AND `table_name` = 'k_by_large_id'
    ORDER BY `ordinal_position`;

SHOW CREATE TABLE `k_by_large_id`;

SELECT COUNT(*) FROM `k_by_large_id`;

SELECT `user_name` FROM `k_by_large_id` ORDER BY `id`;

SHOW CREATE TABLE `twitter_kol_all`;

SET enable_unique_key_partial_update = false;

INSERT INTO `twitter_kol_all` (`id`, `name`, `user_name`, `avatar`, `description`, `created_at`, `created_at_time`, `followers`, `following`, `statuses_count`) SELECT `id`, `name`, `user_name`, `avatar`, `description`, `created_at`, `created_at_time`, `followers`, `following`, `statuses_count` FROM `twitter_kol_all` WHERE 1 = 0;

SET query_timeout = 20, enable_unique_key_partial_update = false;

INSERT INTO `twitter_kol_all` WITH LABEL `kolspider_00000000000000000000000000000007` (`id`, `name`, `user_name`, `avatar`, `description`, `created_at`, `created_at_time`, `followers`, `following`, `statuses_count`) VALUES
('1','it\'s \\ 100%\n中文 😀','satoshi','https://a/b.jpg','words','x','2007-12-13 08:41:26',3,2,1), ('2',NULL,'satoshi','https://a/b.jpg','words','x','2007-12-13 08:41:26',NULL,2,1);

ALTER TABLE `twitter_kol_all` ADD COLUMN `theirs` BIGINT;

SET enable_unique_key_partial_update = true;

SET partial_update_new_key_behavior = 'APPEND';

SELECT `id` FROM `twitter_kol_all` WHERE `id` IN ('2', '3');

INSERT INTO `twitter_kol_all` WITH LABEL `kolspider_00000000000000000000000000000007` (`id`, `name`, `user_name`, `avatar`, `description`, `created_at`, `created_at_time`, `followers`, `following`, `statuses_count`) VALUES
('3','Satoshi','satoshi','https://a/b.jpg','words','x','2007-12-13 08:41:26',3,2,1);

SET query_timeout = 20, enable_unique_key_partial_update = true;

INSERT INTO `twitter_kol_all` WITH LABEL `kolspider_00000000000000000000000000000007` (`id`, `name`, `user_name`, `avatar`, `description`, `created_at`, `created_at_time`, `followers`, `following`, `statuses_count`) VALUES
('2','Satoshi','satoshi','https://a/b.jpg','words','x','2007-12-13 08:41:26',3,2,1);

SELECT `id` FROM `twitter_kol_all` WHERE `id` IN ('4');

INSERT INTO `twitter_kol_all` WITH LABEL `kolspider_00000000000000000000000000000007` (`id`, `name`, `user_name`, `avatar`, `description`, `created_at`, `created_at_time`, `followers`, `following`, `statuses_count`) VALUES
('4','Satoshi','satoshi','https://a/b.jpg','words','x','2007-12-13 08:41:26',3,2,1);

SELECT `column_name`, `data_type`, `character_maximum_length`, `is_nullable`
    FROM `information_schema`.`columns`
    WHERE `table_schema` = 'kol' AND `table_name` = 'twitter_kol_follows'
    ORDER BY `ordinal_position`;

CREATE TABLE IF NOT EXISTS `twitter_kol_follows` (
  `kol_user_name` VARCHAR(128) NOT NULL,
  `user_id` VARCHAR(32) NOT NULL,
  `first_seen` DATETIME MIN NOT NULL,
  `last_seen` DATETIME MAX NOT NULL
) ENGINE=OLAP AGGREGATE KEY(`kol_user_name`, `user_id`) DISTRIBUTED BY HASH(`user_id`) BUCKETS AUTO
PROPERTIES ("light_schema_change" = "true");

SELECT `column_name`, `data_type`, `character_maximum_length`, `is_nullable`
    FROM `information_schema`.`columns`
    WHERE `table_schema` = 'kol' AND `table_name` = 'twitter_kol_follows_crawls'
    ORDER BY `ordinal_position`;

CREATE TABLE IF NOT EXISTS `twitter_kol_follows_crawls` (
  `kol_user_name` VARCHAR(128) NOT NULL,
  `first_whole` DATETIME MIN NOT NULL,
  `last_whole` DATETIME MAX NOT NULL
) ENGINE=OLAP AGGREGATE KEY(`kol_user_name`) DISTRIBUTED BY HASH(`kol_user_name`) BUCKETS AUTO
PROPERTIES ("light_schema_change" = "true");

SHOW CREATE TABLE `twitter_kol_follows`;

SHOW CREATE TABLE `twitter_kol_follows_crawls`;

INSERT INTO `twitter_kol_follows` (`kol_user_name`, `user_id`, `first_seen`, `last_seen`) SELECT `kol_user_name`, `user_id`, `first_seen`, `last_seen` FROM `twitter_kol_follows` WHERE 1 = 0;

INSERT INTO `twitter_kol_follows_crawls` (`kol_user_name`, `first_whole`, `last_whole`) SELECT `kol_user_name`, `first_whole`, `last_whole` FROM `twitter_kol_follows_crawls` WHERE 1 = 0;

INSERT INTO `twitter_kol_follows` WITH LABEL `kolspider_00000000000000000000000000000007` (`kol_user_name`, `user_id`, `first_seen`, `last_seen`) VALUES
('o\'neil','7','2026-11-01 00:00:00','2026-11-24 07:08:09');

INSERT INTO `twitter_kol_follows_crawls` WITH LABEL `kolspider_00000000000000000000000000000007` (`kol_user_name`, `first_whole`, `last_whole`) VALUES
('o\'neil','2026-11-01 00:00:00','2026-11-24 07:08:09');

SELECT `user_id` FROM `twitter_kol_follows` WHERE `kol_user_name` = 'o\'neil' AND `first_seen` < '2026-11-24 07:08:09';

SELECT `kol_user_name` FROM `twitter_kol_follows` LIMIT 1;

SELECT `kol_user_name` FROM `twitter_kol_follows_crawls` LIMIT 1;

SELECT `kol_user_name` FROM `twitter_kol_follows` WHERE `kol_user_name` = 'o\'neil' LIMIT 1;

SELECT `kol_user_name` FROM `twitter_kol_follows_crawls` WHERE `kol_user_name` = 'o\'neil' LIMIT 1;

SELECT f.`kol_user_name`, f.`user_id`, a.`user_name`, a.`name`, a.`followers`, f.`first_seen`, f.`last_seen` FROM `twitter_kol_follows_crawls` c CROSS JOIN `twitter_kol_follows` f ON c.`kol_user_name` = f.`kol_user_name` LEFT JOIN `twitter_kol_all` a ON a.`id` = f.`user_id` WHERE f.`first_seen` > c.`first_whole` ORDER BY f.`first_seen` DESC, f.`kol_user_name`, f.`user_id`;

SELECT f.`kol_user_name`, f.`user_id`, a.`user_name`, a.`name`, a.`followers`, f.`first_seen`, f.`last_seen` FROM `twitter_kol_follows_crawls` c CROSS JOIN `twitter_kol_follows` f ON c.`kol_user_name` = f.`kol_user_name` LEFT JOIN `twitter_kol_all` a ON a.`id` = f.`user_id` WHERE f.`last_seen` < c.`last_whole` AND c.`last_whole` <= '2026-11-18 11:06:40' ORDER BY f.`last_seen` DESC, f.`kol_user_name`, f.`user_id`;

SELECT f.`kol_user_name`, f.`user_id`, a.`user_name`, a.`name`, a.`followers`, f.`first_seen`, f.`last_seen` FROM `twitter_kol_follows_crawls` c CROSS JOIN `twitter_kol_follows` f ON c.`kol_user_name` = f.`kol_user_name` LEFT JOIN `twitter_kol_all` a ON a.`id` = f.`user_id` WHERE f.`first_seen` > c.`first_whole` AND c.`kol_user_name` = 'o\'neil' ORDER BY f.`first_seen` DESC, f.`kol_user_name`, f.`user_id`;

SELECT f.`kol_user_name`, f.`user_id`, a.`user_name`, a.`name`, a.`followers`, f.`first_seen`, f.`last_seen` FROM `twitter_kol_follows_crawls` c CROSS JOIN `twitter_kol_follows` f ON c.`kol_user_name` = f.`kol_user_name` LEFT JOIN `twitter_kol_all` a ON a.`id` = f.`user_id` WHERE f.`last_seen` < c.`last_whole` AND c.`last_whole` <= '2026-11-18 11:06:40' AND c.`kol_user_name` = 'o\'neil' ORDER BY f.`last_seen` DESC, f.`kol_user_name`, f.`user_id`;

SELECT f.`kol_user_name`, f.`user_id`, a.`user_name`, a.`name`, a.`followers`, f.`first_seen`, f.`last_seen` FROM `twitter_kol_follows` f LEFT JOIN `twitter_kol_follows_crawls` c ON c.`kol_user_name` = f.`kol_user_name` LEFT JOIN `twitter_kol_all` a ON a.`id` = f.`user_id` WHERE f.`first_seen` > COALESCE(c.`first_whole`, '9999-12-31 00:00:00') AND f.`first_seen` >= '2026-11-01 00:00:00' ORDER BY f.`first_seen` DESC, f.`kol_user_name`, f.`user_id`;

SELECT f.`kol_user_name`, f.`user_id`, a.`user_name`, a.`name`, a.`followers`, f.`first_seen`, f.`last_seen` FROM `twitter_kol_follows_crawls` c CROSS JOIN `twitter_kol_follows` f ON c.`kol_user_name` = f.`kol_user_name` LEFT JOIN `twitter_kol_all` a ON a.`id` = f.`user_id` WHERE f.`last_seen` < c.`last_whole` AND c.`last_whole` <= '2026-11-18 11:06:40' AND c.`last_whole` >= '2026-11-01 00:00:00' ORDER BY f.`last_seen` DESC, f.`kol_user_name`, f.`user_id`;

SELECT f.`kol_user_name`, f.`user_id`, a.`user_name`, a.`name`, a.`followers`, f.`first_seen`, f.`last_seen` FROM `twitter_kol_follows_crawls` c CROSS JOIN `twitter_kol_follows` f ON c.`kol_user_name` = f.`kol_user_name` LEFT JOIN `twitter_kol_all` a ON a.`id` = f.`user_id` WHERE f.`first_seen` > c.`first_whole` AND f.`first_seen` >= '2026-11-01 00:00:00' AND c.`kol_user_name` = 'o\'neil' ORDER BY f.`first_seen` DESC, f.`kol_user_name`, f.`user_id`;

SELECT f.`kol_user_name`, f.`user_id`, a.`user_name`, a.`name`, a.`followers`, f.`first_seen`, f.`last_seen` FROM `twitter_kol_follows_crawls` c CROSS JOIN `twitter_kol_follows` f ON c.`kol_user_name` = f.`kol_user_name` LEFT JOIN `twitter_kol_all` a ON a.`id` = f.`user_id` WHERE f.`last_seen` < c.`last_whole` AND c.`last_whole` <= '2026-11-18 11:06:40' AND c.`last_whole` >= '2026-11-01 00:00:00' AND c.`kol_user_name` = 'o\'neil' ORDER BY f.`last_seen` DESC, f.`kol_user_name`, f.`user_id`;

SELECT f.`kol_user_name`, f.`user_id`, a.`user_name`, a.`name`, a.`followers`, f.`first_seen`, f.`last_seen`, CASE WHEN (c.`last_whole` IS NULL OR f.`last_seen` >= c.`last_whole` OR c.`last_whole` > '2026-11-18 11:06:40') THEN NULL ELSE c.`last_whole` END AS `missed_since` FROM `twitter_kol_follows` f LEFT JOIN `twitter_kol_follows_crawls` c ON c.`kol_user_name` = f.`kol_user_name` LEFT JOIN `twitter_kol_all` a ON a.`id` = f.`user_id` WHERE f.`user_id` = '7' AND (c.`last_whole` IS NULL OR f.`last_seen` >= c.`last_whole` OR c.`last_whole` > '2026-11-18 11:06:40') ORDER BY f.`first_seen` DESC, f.`kol_user_name`;

SELECT f.`kol_user_name`, f.`user_id`, a.`user_name`, a.`name`, a.`followers`, f.`first_seen`, f.`last_seen`, CASE WHEN (c.`last_whole` IS NULL OR f.`last_seen` >= c.`last_whole` OR c.`last_whole` > '2026-11-18 11:06:40') THEN NULL ELSE c.`last_whole` END AS `missed_since` FROM `twitter_kol_follows` f LEFT JOIN `twitter_kol_follows_crawls` c ON c.`kol_user_name` = f.`kol_user_name` LEFT JOIN `twitter_kol_all` a ON a.`id` = f.`user_id` WHERE f.`kol_user_name` = 'o\'neil' AND (c.`last_whole` IS NULL OR f.`last_seen` >= c.`last_whole` OR c.`last_whole` > '2026-11-18 11:06:40') ORDER BY f.`first_seen` DESC, f.`user_id`;

SELECT f.`kol_user_name`, f.`user_id`, a.`user_name`, a.`name`, a.`followers`, f.`first_seen`, f.`last_seen`, CASE WHEN (c.`last_whole` IS NULL OR f.`last_seen` >= c.`last_whole` OR c.`last_whole` > '2026-11-18 11:06:40') THEN NULL ELSE c.`last_whole` END AS `missed_since` FROM `twitter_kol_follows` f LEFT JOIN `twitter_kol_follows_crawls` c ON c.`kol_user_name` = f.`kol_user_name` LEFT JOIN `twitter_kol_all` a ON a.`id` = f.`user_id` WHERE f.`kol_user_name` IN ('btc', 'o\'neil') AND (c.`last_whole` IS NULL OR f.`last_seen` >= c.`last_whole` OR c.`last_whole` > '2026-11-18 11:06:40') ORDER BY f.`kol_user_name`, f.`user_id`;

SELECT f.`kol_user_name`, f.`user_id`, a.`user_name`, a.`name`, a.`followers`, f.`first_seen`, f.`last_seen`, CASE WHEN (c.`last_whole` IS NULL OR f.`last_seen` >= c.`last_whole` OR c.`last_whole` > '2026-11-18 11:06:40') THEN NULL ELSE c.`last_whole` END AS `missed_since` FROM `twitter_kol_follows` f LEFT JOIN `twitter_kol_follows_crawls` c ON c.`kol_user_name` = f.`kol_user_name` LEFT JOIN `twitter_kol_all` a ON a.`id` = f.`user_id` WHERE f.`user_id` = '7' ORDER BY f.`first_seen` DESC, f.`kol_user_name`;

SELECT f.`kol_user_name`, f.`user_id`, a.`user_name`, a.`name`, a.`followers`, f.`first_seen`, f.`last_seen`, CASE WHEN (c.`last_whole` IS NULL OR f.`last_seen` >= c.`last_whole` OR c.`last_whole` > '2026-11-18 11:06:40') THEN NULL ELSE c.`last_whole` END AS `missed_since` FROM `twitter_kol_follows` f LEFT JOIN `twitter_kol_follows_crawls` c ON c.`kol_user_name` = f.`kol_user_name` LEFT JOIN `twitter_kol_all` a ON a.`id` = f.`user_id` WHERE f.`kol_user_name` = 'o\'neil' ORDER BY f.`first_seen` DESC, f.`user_id`;

SELECT f.`kol_user_name`, f.`user_id`, a.`user_name`, a.`name`, a.`followers`, f.`first_seen`, f.`last_seen`, CASE WHEN (c.`last_whole` IS NULL OR f.`last_seen` >= c.`last_whole` OR c.`last_whole` > '2026-11-18 11:06:40') THEN NULL ELSE c.`last_whole` END AS `missed_since` FROM `twitter_kol_follows` f LEFT JOIN `twitter_kol_follows_crawls` c ON c.`kol_user_name` = f.`kol_user_name` LEFT JOIN `twitter_kol_all` a ON a.`id` = f.`user_id` WHERE f.`kol_user_name` IN ('btc', 'o\'neil') ORDER BY f.`kol_user_name`, f.`user_id`;

SELECT a.`id`, a.`name` FROM `twitter_kol_all` a WHERE LOWER(a.`user_name`) = 'satoshi' ORDER BY a.`id`;

SELECT DISTINCT f.`kol_user_name` FROM `twitter_kol_follows` f;

SELECT `kol_user_name`, `last_whole` FROM `twitter_kol_follows_crawls`;

SELECT `user_id`, COUNT(*) AS `follows` FROM `twitter_kol_follows` GROUP BY `user_id` HAVING COUNT(*) >= 3 ORDER BY `follows` DESC LIMIT 300;

SELECT t.`user_id`, a.`user_name`, a.`name`, a.`followers`, t.`kols`, t.`newest` FROM (SELECT f.`user_id`, COUNT(*) AS `kols`, MAX(f.`first_seen`) AS `newest` FROM `twitter_kol_follows` f LEFT JOIN `twitter_kol_follows_crawls` c ON c.`kol_user_name` = f.`kol_user_name` WHERE f.`first_seen` > COALESCE(c.`first_whole`, '9999-12-31 00:00:00') AND f.`first_seen` >= '2026-11-01 00:00:00' GROUP BY f.`user_id` HAVING COUNT(*) >= 3 ORDER BY `kols` DESC, `newest` DESC, `user_id` LIMIT 100) t LEFT JOIN `twitter_kol_all` a ON a.`id` = t.`user_id` ORDER BY t.`kols` DESC, t.`newest` DESC, t.`user_id`;

SELECT t.`user_id`, a.`user_name`, a.`name`, a.`followers`, t.`kols`, t.`newest` FROM (SELECT f.`user_id`, COUNT(*) AS `kols`, MAX(f.`first_seen`) AS `newest` FROM `twitter_kol_follows` f LEFT JOIN `twitter_kol_follows_crawls` c ON c.`kol_user_name` = f.`kol_user_name` WHERE (c.`last_whole` IS NULL OR f.`last_seen` >= c.`last_whole` OR c.`last_whole` > '2026-11-18 11:06:40') GROUP BY f.`user_id` HAVING COUNT(*) >= 3 ) t LEFT JOIN `twitter_kol_all` a ON a.`id` = t.`user_id` ORDER BY t.`kols` DESC, t.`newest` DESC, t.`user_id`;

SELECT t.`user_id`, a.`user_name`, a.`name`, a.`followers`, t.`kols`, t.`newest` FROM (SELECT f.`user_id`, COUNT(*) AS `kols`, MAX(f.`first_seen`) AS `newest` FROM `twitter_kol_follows` f LEFT JOIN `twitter_kol_follows_crawls` c ON c.`kol_user_name` = f.`kol_user_name` WHERE f.`first_seen` > COALESCE(c.`first_whole`, '9999-12-31 00:00:00') AND f.`first_seen` >= '2026-11-01 00:00:00' GROUP BY f.`user_id` HAVING COUNT(*) >= 3 ) t LEFT JOIN `twitter_kol_all` a ON a.`id` = t.`user_id` ORDER BY t.`kols` DESC, t.`newest` DESC, t.`user_id`;

SELECT `kol_user_name`, COUNT(*) AS `follows` FROM `twitter_kol_follows` GROUP BY `kol_user_name` HAVING COUNT(*) >= 1 ORDER BY `follows` DESC LIMIT 36;

SELECT f.`user_id`, f.`kol_user_name` FROM `twitter_kol_follows` f LEFT JOIN `twitter_kol_follows_crawls` c ON c.`kol_user_name` = f.`kol_user_name` WHERE f.`kol_user_name` IN ('btc', 'o\'neil') AND (c.`last_whole` IS NULL OR f.`last_seen` >= c.`last_whole` OR c.`last_whole` > '2026-11-18 11:06:40') ORDER BY f.`user_id`;

CREATE TABLE `dup` (`id` VARCHAR(32) NOT NULL, `name` VARCHAR(1024) NULL, `user_name` VARCHAR(128) NULL, `avatar` VARCHAR(2048) NULL, `description` STRING NULL, `created_at` VARCHAR(64) NULL, `created_at_time` DATETIME NULL, `followers` BIGINT NULL, `following` BIGINT NULL, `statuses_count` BIGINT NULL) DUPLICATE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS 1 PROPERTIES ("replication_allocation" = "tag.location.default: 1");

SELECT `column_name`, `data_type`, `character_maximum_length`, `is_nullable`
    FROM `information_schema`.`columns`
    WHERE `table_schema` = 'kol' AND `table_name` = 'dup'
    ORDER BY `ordinal_position`;

SHOW CREATE TABLE `dup`;

ALTER TABLE `dup` RENAME `dup_old`;

CREATE TABLE IF NOT EXISTS `dup` ( `id` VARCHAR(32) NOT NULL, `name` VARCHAR(1024) NULL, `user_name` VARCHAR(128) NULL, `avatar` VARCHAR(2048) NULL, `description` STRING NULL, `created_at` VARCHAR(64) NULL, `created_at_time` DATETIME NULL, `followers` BIGINT NULL, `following` BIGINT NULL, `statuses_count` BIGINT NULL ) ENGINE=OLAP UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS AUTO PROPERTIES ("enable_unique_key_merge_on_write" = "true", "light_schema_change" = "true", "store_row_column" = "true", "replication_allocation" = "tag.location.default: 1");

CREATE TABLE `mor` (`id` VARCHAR(32) NOT NULL, `name` VARCHAR(1024) NULL, `user_name` VARCHAR(128) NULL, `avatar` VARCHAR(2048) NULL, `description` STRING NULL, `created_at` VARCHAR(64) NULL, `created_at_time` DATETIME NULL, `followers` BIGINT NULL, `following` BIGINT NULL, `statuses_count` BIGINT NULL, `note` VARCHAR(9) NULL) UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS 1 PROPERTIES ("replication_allocation" = "tag.location.default: 1", "enable_unique_key_merge_on_write" = "false");

SELECT `column_name`, `data_type`, `character_maximum_length`, `is_nullable`
    FROM `information_schema`.`columns`
    WHERE `table_schema` = 'kol' AND `table_name` = 'mor'
    ORDER BY `ordinal_position`;

SHOW CREATE TABLE `mor`;

INSERT INTO `mor` (`id`, `name`, `user_name`, `avatar`, `description`, `created_at`, `created_at_time`, `followers`, `following`, `statuses_count`) SELECT `id`, `name`, `user_name`, `avatar`, `description`, `created_at`, `created_at_time`, `followers`, `following`, `statuses_count` FROM `mor` WHERE 1 = 0;

CREATE TABLE `mor_new` (`id` varchar(32) NOT NULL, `name` varchar(1024) NULL, `user_name` varchar(128) NULL, `avatar` varchar(2048) NULL, `description` text NULL, `created_at` varchar(64) NULL, `created_at_time` datetime NULL, `followers` bigint NULL, `following` bigint NULL, `statuses_count` bigint NULL, `note` varchar(9) NULL) ENGINE=OLAP UNIQUE KEY(`id`) DISTRIBUTED BY HASH(`id`) BUCKETS AUTO PROPERTIES ("enable_unique_key_merge_on_write" = "true", "light_schema_change" = "true", "store_row_column" = "true", "replication_allocation" = "tag.location.default: 1");

INSERT INTO `mor_new` SELECT * FROM `mor`;

ALTER TABLE `mor` REPLACE WITH TABLE `mor_new`;

SELECT `column_name`, `data_type`, `character_maximum_length`, `is_nullable`
    FROM `information_schema`.`columns`
    WHERE `table_schema` = 'kol' AND `table_name` = 'nowhere'
    ORDER BY `ordinal_position`;

INSERT INTO `twitter_kol_all` WITH LABEL `kolspider_00000000000000000000000000000007` (`id`, `name`, `user_name`, `avatar`, `description`, `created_at`, `created_at_time`, `followers`, `following`, `statuses_count`) VALUES
('2','Satoshi','satoshi','https://a/b.jpg','words','x','2007-12-13 08:41:26',3,2,1), ('3','Satoshi','satoshi','https://a/b.jpg','words','x','2007-12-13 08:41:26',3,2,1);

