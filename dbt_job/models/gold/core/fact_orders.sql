{{ config(
    materialized='incremental', incremental_strategy='insert_overwrite', on_schema_change='fail',
    partition_by={'field': 'order_date', 'data_type': 'date'}, cluster_by=['contact_key', 'channel'], post_hook="{{ applied() }}") }}
{#- An order's row depends on more than the order: on its contact's other orders, on campaigns, on rates. Any date that one of
    them touches is replaced whole. -#}
{%- set affected %}
  with o as (select * from {{ ref('slv_crm__orders') }}),
  changed as (select account_id, order_id, contact_id from o where _cut > {{ applied_cut() }}),
  had as (
    select t.account_id, t.order_id, t.contact_id, t.order_date
    from {{ this }} as t join changed as c on c.account_id = t.account_id and c.order_id = t.order_id),
  people as (
    select account_id, contact_id from changed where contact_id is not null
    union distinct select account_id, contact_id from had where contact_id is not null),
  numbered as (
    select o.account_id, o.order_id, row_number() over (partition by o.account_id, o.contact_id order by o.order_at, o.order_id) as number
    from o join people as p on p.account_id = o.account_id and p.contact_id = o.contact_id
    where not o.is_deleted and o.order_type = 'sale')
  select order_date as d from o where _cut > {{ applied_cut() }} and not is_deleted
  -- where it stood before, and where only it stood
  union distinct select order_date from had
  -- a late or withdrawn order renumbers the contact's later ones
  union distinct
  select t.order_date from {{ this }} as t
  join numbered as n on n.account_id = t.account_id and n.order_id = t.order_id
  where t.contact_order_number is null or t.contact_order_number != n.number
  -- a campaign that came, went or became ambiguous re-points the orders that refer to it
  union distinct
  select t.order_date from {{ this }} as t
  join o on o.account_id = t.account_id and o.order_id = t.order_id
  left join {{ ref('slv_campaign_refs') }} as u on u.ref_kind = 'id' and u.ref_value = lower(o.utm_id)
  where o.utm_id is not null and (
    (u.campaign_id is not null) != (t.attribution_rule = 'order_utm_id')
    or t.campaign_key != {{ key_or_unknown('coalesce(u.campaign_id, o.campaign_id)', ['coalesce(u.campaign_id, o.campaign_id)']) }})
  union distinct {{ new_fx_dates() }}
{%- endset %}
{%- set dates = dates_of(affected) %}
/* replace_dates: {{ dates | tojson }} */
with orders as (
  select
    *,
    -- over all orders of the contacts found on the dates, never over the dates alone
    if(contact_id is null or order_type != 'sale', null,
      row_number() over (partition by account_id, contact_id, order_type order by order_at, order_id)) as contact_order_number
  from {{ ref('slv_crm__orders') }}
  where not is_deleted
  {%- if is_incremental() %} and (
    {{ only(dates, 'order_date') }}
    or concat(account_id, '|', contact_id) in (
      select concat(account_id, '|', contact_id) from {{ ref('slv_crm__orders') }} where contact_id is not null and {{ only(dates, 'order_date') }}))
  {%- endif %}
),
attributed as (
  select
    o.*,
    -- A rule fires only when its reference names exactly one campaign, else the next one is asked.
    coalesce(u.campaign_id, o.campaign_id) as attributed_campaign_id,
    case when u.campaign_id is not null then 'order_utm_id' when o.campaign_id is not null then 'crm_campaign_id' else 'none' end as attribution_rule,
    coalesce(m.channel, lower(o.channel)) as mapped_channel,
    {{ fx_rate('o.currency', 'f') }} as fx_rate,
    {{ fx_rate_date('o.currency', 'o.order_date', 'f') }} as fx_rate_date,
    o.amount - coalesce(o.refund, 0) as net
  from orders as o
  left join {{ ref('slv_campaign_refs') }} as u on u.ref_kind = 'id' and u.ref_value = lower(o.utm_id)
  left join {{ ref('channel_map') }} as m on m.spelling = lower(o.channel)
  left join {{ ref('slv_fx_daily') }} as f on f.rate_day = o.order_date and f.currency = o.currency
  where {{ only(dates, 'o.order_date') }}
)
select
  {{ key(['account_id', 'order_id']) }} as order_key, account_id, order_id, contact_id,
  {{ key_or_unknown('contact_id', ['account_id', 'contact_id']) }} as contact_key,
  order_at, order_date, order_type, status,
  amount, currency, fx_rate, fx_rate_date, {{ reporting('amount') }} as amount_reporting,
  tax, {{ reporting('tax') }} as tax_reporting,
  shipping, {{ reporting('shipping') }} as shipping_reporting,
  discount, {{ reporting('discount') }} as discount_reporting,
  refund, {{ reporting('refund') }} as refund_reporting,
  net, {{ reporting('net') }} as net_reporting,
  item_count,
  campaign_id as crm_campaign_id, channel,
  {{ key_or_unknown('channel', ['mapped_channel']) }} as channel_key,
  payment_method, is_repeat_flagged,
  {{ key_or_unknown('attributed_campaign_id', ['attributed_campaign_id']) }} as campaign_key,
  -- No web analytics is loaded yet: no id.
  '-1' as ga4_campaign_key,
  {{ key_or_unknown('campaign_id', ['campaign_id']) }} as crm_campaign_key,
  attribution_rule, contact_order_number, coalesce(contact_order_number > 1, false) as is_repeat,
  transaction_id, _slice_id,
  (select coalesce(max(build), 0) from {{ ref('slv_slices') }}) as _cut
from attributed
