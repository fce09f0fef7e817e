-- Every row of every file is loaded, set aside or a declared non-row; every loaded row is current, older or set aside.
select * from {{ ref('aud_row_counts') }} where missing_rows != 0 or older_rows < 0 or superseded_rows < 0
