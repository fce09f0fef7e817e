{{ config(materialized='table') }}
-- Filled forward here, once, so that facts join by equality.
select d as rate_day, r.currency, r.rate, r.rate_date
from {{ ref('slv_crm__exchange_rates') }} as r,
  unnest(generate_date_array(r.rate_date, date_add(r.rate_date, interval {{ var('fx_days') }} day))) as d
where not r.is_deleted and r.rate > 0
  and coalesce(r.quote_currency, '{{ var("reporting_currency") }}') = '{{ var("reporting_currency") }}'
qualify row_number() over (partition by d, r.currency order by r.rate_date desc, r.account_id asc) = 1
